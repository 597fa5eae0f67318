"""What a GPU refuses is refused where there is none: else a test on it would say nothing."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
]


def both() -> tuple[Any, Any, Any, Any]:
    """Numbers and indices, here and there."""
    here, at = torch.arange(6.0), torch.tensor([1, 3])
    return here, at, here.cuda(), at.cuda()


REFUSED: list[Callable[[Any, Any, Any, Any], Any]] = [
    lambda here, at, there, at_there: here + there,
    lambda here, at, there, at_there: there.add_(here),
    lambda here, at, there, at_there: here[at_there],
    lambda here, at, there, at_there: here.index_put_((at_there,), here[:2]),
    lambda here, at, there, at_there: here.index_put_((at,), there[:2]),
    lambda here, at, there, at_there: there.index_put_((at_there,), here[:2]),
    lambda here, at, there, at_there: torch.stack([here[0], there[0]]),
    lambda here, at, there, at_there: torch.cat([here, there]),
]


@pytest.mark.parametrize("mixed", REFUSED)
def test_refused(mixed: Callable[[Any, Any, Any, Any], Any]) -> None:
    with pytest.raises(RuntimeError, match=r"cpu|cuda"):
        mixed(*both())


def test_what_may_be_mixed() -> None:
    here, at, there, _ = both()
    assert (there + here[3]).tolist() == (here + 3).tolist()
    assert there[at].tolist() == [1, 3] and there[at].device.type == "cuda"
    there.copy_(here + 1)
    assert there.cpu().tolist() == (here + 1).tolist()
    with pytest.raises((TypeError, RuntimeError), match="numpy"):
        there.numpy()
