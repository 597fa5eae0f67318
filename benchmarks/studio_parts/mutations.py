"""Malformed files: pictures and a film made here, damaged in every way that files get damaged."""

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

from PIL import Image
from studio_parts.pictures import photo

SIGNATURE = b"\x89PNG\r\n\x1a\n"

KINDS: tuple[tuple[str, str], ...] = (
    ("PNG", "RGBA"),
    ("PNG", "P"),
    ("PNG", "I;16"),
    ("JPEG", "RGB"),
    ("JPEG", "CMYK"),
    ("WEBP", "RGBA"),
    ("TIFF", "RGB"),
    ("GIF", "P"),
    ("BMP", "RGB"),
    ("AVIF", "RGB"),
)
"""Formats and modes of the pictures that are damaged."""

Mutation = Callable[[bytes, random.Random], bytes]


def malformed(count: int, seed: int) -> Iterator[bytes]:
    """So many malformed files, the same ones for the same seed; bombs come first."""
    chance = random.Random(seed)
    whole, ways = seeds(), list(MUTATIONS)
    made = bombs()[:count]
    yield from made
    for number in range(count - len(made)):
        data = whole[number % len(whole)]
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            data = chance.choice(ways)(data, chance)
        yield data


def seeds() -> list[bytes]:
    """Files that are well: a picture of every kind, an animation, and a film where av is there."""
    found = [photo(number, 64, 48, *kind) for number, kind in enumerate(KINDS)]
    return [*found, _progressive(), _tiled(), _animation(), *_films()]


def _progressive() -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(photo(20))).save(file, "JPEG", progressive=True, exif=b"Exif\0\0MM\0*")
    return file.getvalue()


def _tiled() -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(photo(21))).save(file, "TIFF", compression="tiff_lzw")
    return file.getvalue()


def _animation() -> bytes:
    file = io.BytesIO()
    first, *others = (Image.open(io.BytesIO(photo(seed, 32, 24))) for seed in (22, 23, 24))
    first.save(file, "GIF", save_all=True, append_images=others)
    return file.getvalue()


def _films() -> Iterator[bytes]:
    with suppress(ImportError):
        import av

        file = io.BytesIO()
        with av.open(file, "w", format="mp4") as film:
            stream = film.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for seed in range(30, 36):
                picture = Image.open(io.BytesIO(photo(seed, 64, 48)))
                film.mux(stream.encode(av.VideoFrame.from_image(picture)))
            film.mux(stream.encode(None))
        yield file.getvalue()


def truncated(data: bytes, chance: random.Random) -> bytes:
    """The sender went away."""
    return data[: chance.randrange(len(data) + 1)]


def flipped(data: bytes, chance: random.Random) -> bytes:
    """Some bits are the other way round."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 4, 32)) if data else 0):
        found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found)


def swapped(data: bytes, chance: random.Random) -> bytes:
    """Two pieces have changed places."""
    a, b, c = sorted(chance.randrange(len(data) + 1) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def lengthened(data: bytes, chance: random.Random) -> bytes:
    """A number near the beginning, where sizes and lengths are, is absurd."""
    size, order = chance.choice((2, 4, 8)), chance.choice(("big", "little"))
    most = 256**size
    number = chance.choice((0, 1, most - 1, most // 2, most // 2 - 1, chance.randrange(most)))
    place = chance.randrange(min(len(data), 512) + 1)
    return data[:place] + number.to_bytes(size, order) + data[place + size :]  # type: ignore[arg-type]


def repeated(data: bytes, chance: random.Random) -> bytes:
    """A piece comes again and again."""
    a, b = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    return data[:b] + data[a:b] * chance.choice((1, 3, 20)) + data[b:]


def noisy(data: bytes, chance: random.Random) -> bytes:
    """A piece is noise."""
    a, b = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    return data[:a] + chance.randbytes(b - a) + data[b:]


MUTATIONS: tuple[Mutation, ...] = (truncated, flipped, swapped, lengthened, repeated, noisy)


def bombs() -> list[bytes]:
    """Small files that say, or come to, far more than anybody can hold."""
    text = zlib.compress(bytes(100_000_000), 9)
    small = photo(25, 16, 12, "PNG")
    return [
        png(50_000, 50_000),
        png(2**31 - 1, 2**31 - 1),
        png(0, 0),
        png(2**31 - 1, 1),
        small[:33] + chunk(b"zTXt", b"Comment\0\0" + text) + small[33:],
        small[:33] + chunk(b"iCCP", b"p\0\0" + text) + small[33:],
        small[:33] + chunk(b"iTXt", b"impasto\0\1\0\0\0" + text) + small[33:],
        _with(photo(26), b"\xff\xc0", 5, struct.pack(">HH", 65500, 65500)),
        b"GIF89a" + struct.pack("<HH", 65535, 65535) + photo(27, 16, 12, "GIF", "P")[10:],
        _with(photo(28, 16, 12, "BMP"), b"BM", 18, struct.pack("<ii", 60_000, -60_000)),
        _with(photo(29, 16, 12, "WEBP", "RGBA"), b"VP8X", 12, b"\xff" * 6),
        _with(photo(30, 16, 12, "TIFF"), b"\x00\x01\x04\x00", 8, struct.pack("<I", 2**31)),
        b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + struct.pack("<I", 8),  # goes in a circle
        b"\xff\xd8" + b"\xff\xda\0\x08\1\1\0\0\x3f\0" * 5000,
    ]


def png(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and has next to nothing."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return SIGNATURE + head + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG."""
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def _with(data: bytes, mark: bytes, after: int, new: bytes) -> bytes:
    """Other bytes in place of those that come so many after a mark; noise where it is missing."""
    place = max(0, data.find(mark)) + after
    return data[:place] + new + data[place + len(new) :]
