"""A Style: what an encoder remembers of a picture, at four sizes; and its file."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from impasto import weights
from impasto.codes import near_sizes
from impasto.errors import BadInput, BadPicture, DamagedWeights, ImpastoError, unknown
from impasto.files import is_file, is_folder
from impasto.media import image as media
from impasto.moments import Moments, TapMoments, about_mean, average, moments
from impasto.networks.encoders import TAPS, Encoder, load_encoder

SIZES = (128, 256, 512, 1024)
"""Long sides, pixels, at which a style is looked at."""

ENLARGED = 1.4
"""How much a small picture is enlarged for that at most: more would be a blur."""

ASSETS = Path(__file__).parent / "assets"

SUFFIX = ".style.safetensors"

LEARNED = "learned/"
"""What tensors are called in a style file that are not moments."""


def sizes_of(long_side: int) -> Sequence[int]:
    """The sizes at which a picture is looked at, for the style that it has."""
    return [size for size in SIZES if size <= long_side * ENLARGED] or SIZES[:1]


@dataclass(frozen=True)
class Style:
    """Moments of a picture per size and tap, and who painted it.

    The size at which a painting is looked at sets the size of its strokes. Sizes that the picture
    does not have are missing; the smallest is always there.
    """

    encoder: str
    moments: Mapping[int, TapMoments]
    name: str = "style"
    about: Mapping[str, str] = field(default_factory=dict)
    """Title, artist, year, licence: whatever is known."""
    learned: Mapping[str, Tensor] = field(default_factory=dict)
    """What trained networks have learned of it, by the network (``dumoulin-gallery/1a2b...``)."""

    @classmethod
    def of(
        cls,
        picture: media.AnyPicture,
        encoder: Encoder | str = "compact",
        name: str = "style",
        mask: Tensor | None = None,
    ) -> "Style":
        """The style of a picture, or of the part of it that ``mask`` shows.

        picture: a path, bytes, a PIL image, an array or a tensor
        mask: (1, 1, H, W), weights >= 0; by default what is not transparent

        Raises BadPicture when it is none or shows nothing, UnknownName or MissingWeights for the
        encoder.
        """
        network = load_encoder(encoder) if isinstance(encoder, str) else encoder
        opened = media.open_any(picture)
        pixels, mask = opened.pixels, opened.alpha if mask is None else mask
        check_visible(mask, name)
        sizes = sizes_of(max(pixels.shape[-2:]))
        return cls(network.name, {s: _look(pixels, network, s, mask) for s in sizes}, name)

    @classmethod
    def mean(cls, styles: Sequence["Style"], name: str = "style") -> "Style":
        """The average of several paintings' styles, each as important as the others.

        Raises BadInput when there are none, or they were made with different encoders.
        """
        if not styles:
            raise BadInput("No style to average: give at least one.")
        encoders = sorted({style.encoder for style in styles})
        if len(encoders) != 1:
            raise BadInput(f"Styles of different encoders ({', '.join(encoders)}) do not average.")
        sizes = sorted({size for style in styles for size in style.moments})
        merged = {
            size: {
                tap: average((1.0, s.moments[size][tap]) for s in styles if size in s.moments)
                for tap in styles[0].moments[min(styles[0].moments)]
            }
            for size in sizes
        }
        return cls(encoders[0], merged, name)

    def at(self, size: float) -> TapMoments:
        """The moments at a long side of ``size`` pixels, mixed from the two nearest sizes.

        Beyond the smallest and the largest size that there is, those are taken.
        """
        return {
            tap: average(
                (share, self.moments[near][tap]) for near, share in near_sizes(size, self.moments)
            )
            for tap in self.moments[min(self.moments)]
        }

    def with_facts(self, facts: Mapping[str, str]) -> "Style":
        """The same style, with more said of the work."""
        return replace(self, about={**self.about, **facts})

    def save(self, path: Path) -> None:
        """Write the style to a file of about 150 kB (compact encoder)."""
        tensors = {
            f"{size}/{tap}/{part}": _compress(tensor)
            for size, taps in self.moments.items()
            for tap, m in taps.items()
            for part, tensor in (("mean", m.mean), ("covariance", pack(m.covariance())))
        }
        tensors |= {f"{LEARNED}{key}": tensor for key, tensor in self.learned.items()}
        config = {**self.about, "encoder": self.encoder}
        weights.write(path, tensors, weights.Header("style", self.name, config))

    @classmethod
    def load(cls, path: Path) -> "Style":
        """Read what ``save`` wrote.

        Raises DamagedWeights when the file is not what it was, BadInput when it is no style.
        """
        tensors, header = weights.read(path)
        if header.kind != "style":
            raise BadInput(f"{str(path)!r} holds weights of kind {header.kind!r}, not a style.")
        try:
            if not all(tensor.isfinite().all() for tensor in tensors.values()):
                raise ValueError("its numbers are not all finite")
            learned = {key: t for key, t in tensors.items() if key.startswith(LEARNED)}
            parts = _read_moments({k: t for k, t in tensors.items() if k not in learned})
            encoder = str(header.config["encoder"])
        except (KeyError, ValueError) as error:
            raise DamagedWeights(
                f"{str(path)!r} is no complete style: {error}. Make it again from its picture."
            ) from error
        about = {key: str(value) for key, value in header.config.items() if key != "encoder"}
        learned = {key.removeprefix(LEARNED): t.float() for key, t in learned.items()}
        return cls(encoder, parts, header.name, about, learned)


@torch.no_grad()
def _look(picture: Tensor, encoder: Encoder, size: int, mask: Tensor | None) -> TapMoments:
    device = next(encoder.parameters()).device
    seen = media.scaled(picture, size).to(device)
    looked = looks(encoder, seen, mask if mask is None else mask.to(device))
    return {tap: m.to(torch.device("cpu")) for tap, m in looked.items()}


def looks(encoder: Encoder, images: Tensor, mask: Tensor | None = None) -> TapMoments:
    """The moments of pictures at the five taps.  (B, 3, H, W)  ->  (B, C), (B, C, C) per tap"""
    return {tap: moments(f, mask) for tap, f in encoder(images, TAPS).items()}


def _read_moments(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Moments]]:
    """The moments per size and tap of a style file; raises KeyError or ValueError."""
    sizes = sorted({int(key.split("/")[0]) for key in tensors})
    if not sizes:
        raise ValueError("its moments are missing")
    return {
        size: {
            tap: about_mean(
                tensors[f"{size}/{tap}/mean"].float(),
                unpack(tensors[f"{size}/{tap}/covariance"].float()),
            )
            for tap in TAPS
        }
        for size in sizes
    }


def pack(second: Tensor) -> Tensor:
    """The upper triangle of symmetric matrices.  (B, C, C)  ->  (B, C (C+1) / 2)"""
    rows, columns = torch.triu_indices(second.shape[1], second.shape[1])
    return second[:, rows, columns]  # (B, C(C+1)/2)


def unpack(packed: Tensor) -> Tensor:
    """The inverse of ``pack``.  (B, C (C+1) / 2)  ->  (B, C, C)"""
    channels = (math.isqrt(8 * packed.shape[1] + 1) - 1) // 2
    rows, columns = torch.triu_indices(channels, channels)
    second = packed.new_zeros(packed.shape[0], channels, channels)
    second[:, rows, columns] = packed
    second[:, columns, rows] = packed
    return second  # (B, C, C)


def _compress(tensor: Tensor) -> Tensor:
    """Half precision where its range suffices; an error of 5e-4 is far below any style_error.

    It is the covariance that is rounded: a covariance from rounded raw moments is ten times worse.
    """
    return tensor.half() if tensor.abs().max() < 6e4 else tensor


def gallery() -> dict[str, Path]:
    """The named styles: packaged ones first, then the user's own, by name."""
    found: dict[str, Path] = {}
    for folder in (ASSETS / "styles", weights.user_folder().parent / "styles"):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            found.setdefault(path.name.removesuffix(SUFFIX), path)
    return found


def about(path: Path) -> dict[str, str]:
    """What the header of a style file says of the work, without reading the moments."""
    return {key: str(value) for key, value in weights.read_header(path).config.items()}


def make(pictures: Sequence[Path], encoder: str, name: str, file: Path | None = None) -> Style:
    """The style of a picture, or the average of several pictures' styles.

    file: where it goes; see ``check_name``, which raises BadInput
    """
    check_name(name, file)
    network = load_encoder(encoder)
    return Style.mean([Style.of(picture, network) for picture in pictures], name)


def named(name: str) -> Style:
    """The style of that name.

    Raises UnknownName, with the list, when there is none; BadInput where it is something else: a
    picture, a folder, a name with a weight that is no number.
    """
    styles = gallery()
    if name not in styles:
        raise _explained(name, styles)
    return Style.load(styles[name])


def _explained(name: str, styles: Iterable[str]) -> ImpastoError:
    """Why there is no style of that name."""
    known, _, weight = name.rpartition(":")
    if known in styles:
        return BadInput(f"{weight!r} is no weight of a style: write {known}:0.7, say.")
    if is_folder(name):
        return BadInput(f"{name} is a folder, not a style: name a picture in it.")
    if is_file(name):
        made = f"impasto styles make {name} -o {Path(name).stem}{SUFFIX}"
        return BadInput(f"{name!r} is no style file; if it is a picture, {made} makes one.")
    return unknown("style", name, styles)


def is_style(source: str) -> bool:
    """Whether a source is a style file or a name in the gallery, and not a picture."""
    return source.endswith(SUFFIX) or source in gallery()


def open_style(source: str) -> Style:
    """A style by gallery name or from its file.

    Raises what ``named`` raises, BadPicture (no such file), DamagedWeights.
    """
    if not source.endswith(SUFFIX):
        return named(source)
    if not Path(source).is_file():
        raise BadPicture(f"There is no style file {source!r}.")
    return Style.load(Path(source))


def check_name(name: str, file: Path | None) -> None:
    """Raise BadInput for a name of the gallery, but for that of the file that is written anew.

    What networks have learned goes by names: they would paint the other style.
    """
    known = gallery().get(name)
    if known is not None and (file is None or known.resolve() != file.resolve()):
        raise BadInput(f"{name!r} is a style of the gallery: give the picture another name.")


def check_visible(mask: Tensor | None, name: str) -> None:
    """Raise BadPicture where nothing is to be seen of a picture."""
    if mask is not None and not (mask > 0).any():
        raise BadPicture(f"Nothing is to be seen of the style {name!r}: it is all transparent.")


def check_encoder(styles: Iterable[Style], encoder: str) -> None:
    """Raise BadInput when a style was made with another encoder than the method looks through."""
    for style in styles:
        if style.encoder != encoder:
            raise BadInput(
                f"The style {style.name!r} was made with the encoder {style.encoder!r}, not "
                f"{encoder!r}. Make it again from its picture with: "
                f"impasto styles make PICTURE --encoder {encoder} -o {style.name}-{encoder}{SUFFIX}"
            )
