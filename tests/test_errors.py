"""Errors: each has its exit code, and an unknown name brings the right suggestion."""

import re

import pytest

from impasto import errors
from impasto.errors import BadInput, ImpastoError, UnknownName, for_want_of_memory, unknown

CODES = {
    "ImpastoError": 1,
    "BadInput": 2,
    "UnknownName": 2,
    "BadPicture": 3,
    "BadOutput": 4,
    "MissingWeights": 5,
    "DamagedWeights": 6,
    "OutOfMemory": 7,
    "TrainingFailed": 8,
}


def classes() -> dict[str, type[ImpastoError]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, ImpastoError)
    }


def test_exit_codes() -> None:
    """Scripts rely on the numbers: none may move, none may be added without a test."""
    assert {name: error.exit_code for name, error in classes().items()} == CODES


def test_the_documented_table_has_every_code() -> None:
    """The table at the top of the module is what users read."""
    rows = re.findall(r"^(\d+) {2,}\S", errors.__doc__ or "", re.MULTILINE)
    assert {int(row) for row in rows} == set(CODES.values()) | {0, 130}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("gatis", "gatys"), ("GATYS", "gatys"), ("johnsen", "johnson"), ("adain2", "adain")],
)
def test_near_misses_are_recognised(typed: str, meant: str) -> None:
    """A typo or a capital letter must not leave the user with the bare list."""
    error = unknown("method", typed, ["adain", "gatys", "johnson"])
    assert str(error) == (
        f"Unknown method {typed!r}. Did you mean {meant!r}? Choose from: adain, gatys, johnson."
    )


def test_no_suggestion_for_something_else_entirely() -> None:
    """A wild guess would mislead more than it helps."""
    assert "Did you mean" not in str(unknown("method", "xyz", ["adain", "gatys"]))


def test_choices_may_be_any_iterable() -> None:
    """A generator is read once: the list must not come out empty after the suggestion."""
    error = unknown("tap", "relu1_3", (name for name in ("relu1_1", "relu5_1")))
    assert str(error).endswith("Did you mean 'relu1_1'? Choose from: relu1_1, relu5_1.")


def test_an_unknown_name_is_bad_input() -> None:
    """Callers that catch BadInput must catch misspelt names too."""
    assert issubclass(UnknownName, BadInput)
    assert issubclass(BadInput, ImpastoError)


@pytest.mark.parametrize(
    ("error", "wanting"),
    [
        (MemoryError(), True),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"), True),
        (RuntimeError("GET was unable to find an engine to execute this computation"), True),
        (RuntimeError("Expected all tensors to be on the same device"), False),
        (ValueError("unallocated"), False),
    ],
)
def test_want_of_memory_is_known_by_what_libraries_say(error: Exception, wanting: bool) -> None:
    assert for_want_of_memory(error) is wanting
