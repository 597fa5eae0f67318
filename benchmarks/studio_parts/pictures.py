"""Small pictures to send, and a look at those that come back."""

import io
import random

from PIL import Image

from impasto.errors import ImpastoError
from impasto.media import image as media
from impasto.recipe import Recipe


def photo(
    seed: int, width: int = 96, height: int = 72, kind: str = "JPEG", mode: str = "RGB"
) -> bytes:
    """The file of a picture that is no other seed's."""
    chance = random.Random(seed)
    few = Image.frombytes("RGB", (4, 3), chance.randbytes(36))
    file = io.BytesIO()
    few.resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(file, kind)
    return file.getvalue()


def is_whole(data: bytes, width: int, height: int, method: str) -> bool:
    """Whether a result decodes, has its size, and its Recipe inside."""
    try:
        found = media.read(data)
        recipe = Recipe.model_validate_json(found.recipe or "")
    except (ImpastoError, ValueError):
        return False
    size = (found.pixels.shape[-1], found.pixels.shape[-2])
    return size == (width, height) and recipe.method == method
