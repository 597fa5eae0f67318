"""Processes that work for another: how they are started."""

import os
import signal
import threading

import pytest

from impasto.processes import starting

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no signal masks")


def test_ctrl_c_waits_until_a_process_is_started() -> None:
    """Though a thread that does not block it takes it."""
    done = []
    with pytest.raises(KeyboardInterrupt):
        with starting():
            taker = threading.Thread(target=lambda: signal.raise_signal(signal.SIGINT))
            taker.start()
            taker.join()
            os.kill(os.getpid(), signal.SIGINT)
            done.append("started")
        done.append("went on")
    assert done == ["started"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
