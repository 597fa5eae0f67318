"""The sample photos that every installation has: those inside scikit-image."""

from torch import Tensor

from impasto.media.image import to_tensor


def sample_photo(name: str) -> Tensor:
    """A sample photo by its name in ``skimage.data``.  ->  (1, 3, H, W), sRGB in [0, 1]"""
    from skimage import data

    return to_tensor(getattr(data, name)())
