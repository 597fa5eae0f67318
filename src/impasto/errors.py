"""The error tree: every error a user can cause says what was given, what is allowed, what to do.

Exit codes of the command line:

====  =======================================================
0     done
1     part of the work failed (see the messages)
2     wrong usage: an unknown name, option or value
3     an input is not a readable picture (or is too large)
4     the output cannot be written
5     weights are missing
6     weights are damaged
7     not enough memory
8     training cannot go on
130   interrupted; the best picture so far was written
====  =======================================================
"""

from collections.abc import Iterable
from difflib import get_close_matches

WANTING = (
    "allocate",
    "bad_alloc",
    "ALLOC_FAILED",
    "out of memory",
    "unable to find an engine to execute",
)
"""What torch, CUDA, cuBLAS and cuDNN say when memory runs out."""


class ImpastoError(Exception):
    """An error that the user can understand and mend; its text is one clear line."""

    exit_code = 1


class BadInput(ImpastoError):
    """A setting, option or argument is outside what is allowed."""

    exit_code = 2


class UnknownName(BadInput):
    """A name that is not in the list; the text suggests the nearest and prints the list."""


class BadPicture(ImpastoError):
    """A file that is no picture, is truncated, or is larger than the limits."""

    exit_code = 3


class BadOutput(ImpastoError):
    """A result that cannot be written where it was asked for."""

    exit_code = 4


class MissingWeights(ImpastoError):
    """Weights that are not on this machine; the text says which command brings them."""

    exit_code = 5


class DamagedWeights(ImpastoError):
    """Weights whose content is not what it should be."""

    exit_code = 6


class OutOfMemory(ImpastoError):
    """The work needs more memory than there is."""

    exit_code = 7


class TrainingFailed(ImpastoError):
    """Training that cannot go on, with the reason."""

    exit_code = 8


class Notice(UserWarning):
    """Something that people ought to know, though the work goes on."""


def for_want_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed.

    torch's own class is known by its name, without importing torch; on processors it has none, and
    libraries of CUDA say it in words of their own.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in WANTING)


def reason(error: Exception) -> str:
    """Why something could not be painted, in one line."""
    if isinstance(error, ImpastoError):
        return str(error)
    if for_want_of_memory(error):
        return "There was not enough memory."
    said = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {said}".removesuffix(": ")


def unknown(kind: str, name: str, choices: Iterable[str]) -> UnknownName:
    """The error for a ``name`` that is not among ``choices``: suggestion first, then the list."""
    names = list(choices)
    close = get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return UnknownName(f"Unknown {kind} {name!r}.{hint} Choose from: {', '.join(names)}.")
