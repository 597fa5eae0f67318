"""Processes that work for another: how they are started."""

import signal
import threading
from collections.abc import Callable

import pytest

from impasto.processes import starting

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no signal masks")


def to_this_thread() -> None:
    """As the system does it that gives Ctrl-C to the main thread, which blocks it."""
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)


def to_another_thread() -> None:
    """Which does not block it: Python interrupts the main thread all the same."""

    def take() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.raise_signal(signal.SIGINT)

    taker = threading.Thread(target=take)
    taker.start()
    taker.join()


@pytest.mark.parametrize("ctrl_c", [to_this_thread, to_another_thread])
def test_ctrl_c_waits_until_a_process_is_started(ctrl_c: Callable[[], None]) -> None:
    done = []
    with pytest.raises(KeyboardInterrupt):
        with starting():
            ctrl_c()
            done.append("started")
        done.append("went on")
    assert done == ["started"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
