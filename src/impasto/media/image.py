"""Pictures in: any file, stream, array or tensor becomes sRGB pixels in [0, 1], the right way up.

Writing is in ``encode``; its names are here too, so that callers know one module.
"""

import io
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from torch import Tensor

from impasto.errors import BadPicture, ImpastoError, OutOfMemory
from impasto.media.encode import (
    FORMATS,
    MARK,
    check_target,
    encode,
    exif_bytes,
    exif_recipe,
    kept_exif,
    srgb_profile,
    to_pil,
    write,
)

__all__ = [
    "SUFFIXES",
    "AnyPicture",
    "Limits",
    "Picture",
    "check_target",
    "encode",
    "fit",
    "header",
    "like",
    "open_any",
    "read",
    "resize",
    "to_pil",
    "to_tensor",
    "write",
]
