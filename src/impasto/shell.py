"""How a command leaves: every error becomes one line and an exit code."""

import atexit
import errno
import gc
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from impasto.errors import BadOutput, ImpastoError, Notice, OutOfMemory, for_want_of_memory

INTERRUPTED = 130

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the operating system says where there is no room."""


@contextmanager
def importing() -> Iterator[None]:
    """Import without looking for garbage, which imports do not make: it takes a tenth of them."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class Impasto(click.Group):
    """The group of all commands; turns our errors into one line and an exit code."""

    def main(self, args: Sequence[str] | None = None, **kwargs: Any) -> NoReturn:  # type: ignore[override]
        """Run a command and leave with its exit code; ``--debug`` may stand anywhere."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        warnings.formatwarning = _plainly
        if args is None:  # a process of its own, which need not be tidied up behind it
            atexit.register(gc.freeze)
        words = list(sys.argv[1:] if args is None else args)
        debug = "--debug" in words
        words = [word for word in words if word != "--debug"]
        try:
            super().main(words, **{**kwargs, "standalone_mode": False})
            sys.exit(0)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except ImpastoError as error:
            if debug:
                raise
            click.echo(f"impasto: {error}", err=True)
            sys.exit(error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            click.echo("impasto: interrupted.", err=True)
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            _say_no_more()
            sys.exit(1)
        except Exception as error:
            if debug:
                raise
            if for_want_of_memory(error):
                click.echo("impasto: There is not enough memory: use a smaller --size.", err=True)
                sys.exit(OutOfMemory.exit_code)
            if isinstance(error, OSError) and error.errno in FULL:
                _say_no_more()
                click.echo(f"impasto: Cannot write: {error.strerror}. Make room first.", err=True)
                sys.exit(BadOutput.exit_code)
            what = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            click.echo(f"impasto: {what} (add --debug for the traceback).", err=True)
            sys.exit(1)


def _say_no_more() -> None:
    """Whoever read standard output has gone, or it is full: Python must not try at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_usually = warnings.formatwarning


def _plainly(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """Our own notices in one line of words; other warnings as Python writes them."""
    if issubclass(category, Notice):
        return f"impasto: {message}\n"
    return _usually(message, category, filename, lineno, line)
