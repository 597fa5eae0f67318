"""Passes: one picture, or one step of a training, in one way, ready to be timed or weighed.

What a pass does is said by its Cell alone, so that a process can be told to do it. Pictures are
noise and the style is the same for all: neither time nor memory depends on them. Styles are encoded
and weights read before. Whatever a pass computes ends on the processor, so a GPU is waited for.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice

import plain
import torch
from rows import Cell
from torch import Tensor, nn

from impasto import methods
from impasto.codes import Code, at
from impasto.engines import Engine
from impasto.losses import content_error, gram_error, total_variation
from impasto.methods.gatys import QUALITIES, Config
from impasto.methods.johnson import Johnson
from impasto.moments import gram
from impasto.networks.decoders import Decoder, load_decoders
from impasto.networks.encoders import SHAPES, TAPS, Encoder, load_encoder
from impasto.networks.painters import GALLERY, any_style, load, many_styles, one_style
from impasto.networks.transformer import Transformer
from impasto.recipe import Recipe
from impasto.runtime import Runtime, runtime
from impasto.style import Style, open_style
from impasto.stylizer import Stylizer

STYLE = "starry-night"
"""One that every method has learned."""

ENGINES = {"eager": "torch", "openvino": "openvino"}
"""What a way that is an engine is called by ``--engine``."""

FULL_WIDTH, HALF_WIDTH = "full width", "half width"
BATCH = 4
"""Crops in a step of training."""

PLAIN_STEPS, TIMED_STEPS = 300, 5
"""Steps of plain gatys, and how many of them are timed: each does the same work."""


@dataclass(frozen=True)
class Pass:
    """Work to be timed."""

    work: Callable[[], object]
    times: float = 1.0
    """How often this would have to be done for the whole."""


def prepared(cell: Cell) -> Pass:
    """The pass that a cell describes; to be made in a process that does nothing else."""
    torch.manual_seed(0)
    if cell.benchmark == "training":
        return Pass(plain_training(cell) if cell.way == "plain" else our_training(cell))
    image = torch.rand(1, 3, cell.size or 512, cell.size or 512)
    return plain_pass(cell, image) if cell.way == "plain" else Pass(our_pass(cell, image))


def our_pass(cell: Cell, image: Tensor) -> Callable[[], object]:
    """The method as the package has it; a way that is the name of an engine asks for it."""
    if cell.way != "ours":
        os.environ["IMPASTO_ENGINE"] = ENGINES[cell.way]
    machine = runtime()
    quality = cell.setting if cell.setting in QUALITIES else "normal"
    recipe = Recipe(method=cell.method, quality=quality, iterations=cell.steps)
    stylizer = methods.get(cell.method).create(load_encoder("compact"), machine, recipe)
    if cell.setting == FULL_WIDTH:
        assert isinstance(stylizer, Johnson)
        network = machine.place(Transformer(1.0).requires_grad_(False).eval())
        stylizer.engines[STYLE] = Engine(network, machine, FULL_WIDTH)
    paint = partial(stylizer.stylize, image, stylizer.encode(open_style(STYLE)), cell.strength)
    if cell.way != "ours":
        paint()
        for engine in engines(stylizer):
            engine.worth = 0.0  # at once, not when it pays
    return paint


def engines(stylizer: Stylizer) -> list[Engine]:
    """The networks of a method that an engine may run."""
    own = vars(stylizer)
    several = own["engines"].values() if "engines" in own else ()
    return [*several, *([own["engine"]] if "engine" in own else [])]


def plain_pass(cell: Cell, image: Tensor) -> Pass:
    """The method as it is published, on our networks or on such of VGG-19's size.

    Those have random weights: time and memory do not depend on them.
    """
    where = device()
    image = image.to(where)
    if cell.method in ("johnson", "dumoulin", "ghiasi"):
        return Pass(plain_painter(cell, image))
    large = cell.encoder == "vgg19"
    encoder = Encoder(SHAPES["vgg19"], "vgg19") if large else load_encoder("compact")
    style = Style.of(torch.rand(1, 3, 256, 256), encoder) if large else open_style(STYLE)
    if cell.method == "gatys":
        return plain_gatys(encoder, style, image, cell.steps)
    taps = TAPS if cell.method == "wct" else (TAPS[3], TAPS[0])
    if large:
        decoders = nn.ModuleDict({tap: Decoder(encoder.shape, tap) for tap in taps})
    else:
        decoders = load_decoders(cell.method, encoder, taps)
    stylizer = methods.get(cell.method)
    own = stylizer(encoder, decoders, Runtime(torch.device("cpu"), bf16=False))
    code = {key: t.to(where) for key, t in at(own.encode(style), max(image.shape)).items()}
    vgg = plain.Vgg(encoder).to(where)
    decode = {tap: plain.decoder(decoders[tap]).to(where) for tap in taps}
    if cell.method == "wct":
        strength = stylizer.strength if cell.strength is None else cell.strength
        return Pass(lambda: wct(image, vgg, decode, code, strength).cpu())
    return Pass(lambda: adain(image, vgg, decode, code, finish=not large).cpu())


def device() -> torch.device:
    """Where to compute, found without our runtime, which would tell malloc what to keep."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def wct(
    image: Tensor, vgg: plain.Vgg, decode: dict[str, nn.Sequential], code: Code, strength: float
) -> Tensor:
    """All levels, from relu5_1 to relu1_1."""
    for tap in reversed(TAPS):
        style = code[f"{tap}/mean"], code[f"{tap}/color"]
        image = plain.wct_level(image, vgg, decode[tap], tap, style, strength)
    return image


def adain(
    image: Tensor, vgg: plain.Vgg, decode: dict[str, nn.Sequential], code: Code, finish: bool
) -> Tensor:
    """The paper's network, and the finish that ours has behind it (the paper has none)."""
    image = plain.adain(image, vgg, decode[TAPS[3]], code["mean"], code["std"])
    if not finish:
        return image
    style = code["finish/mean"], code["finish/color"]
    return plain.wct_level(image, vgg, decode[TAPS[0]], TAPS[0], style, 1.0)


def plain_painter(cell: Cell, image: Tensor) -> Callable[[], object]:
    """One pass of a transformation network with its row."""
    network, row = painter(cell)
    simple = plain.Transformer(network).requires_grad_(False).to(image.device)
    row = None if row is None else row.to(image.device)
    return torch.no_grad()(lambda: simple(image, row).cpu())


@torch.no_grad()
def painter(cell: Cell) -> tuple[Transformer, Tensor | None]:
    """Our network, and the row of the style where it takes one."""
    if cell.setting == FULL_WIDTH:
        return Transformer(1.0), None
    if cell.method == "johnson":
        return load("johnson", STYLE, one_style)[0], None
    if cell.method == "dumoulin":
        many, header = load("dumoulin", GALLERY, many_styles)
        return many.network, many.rows[header.config["styles"].index(STYLE)][None]
    any_, _ = load("ghiasi", "compact", any_style)
    return any_.network, any_.head(any_.predictor(open_style(STYLE).at(cell.size or 512)))


def plain_gatys(encoder: Encoder, style: Style, image: Tensor, steps: int | None) -> Pass:
    """Steps of Adam on one scale."""
    loss = plain_loss(encoder, style, image, Config())
    painting = plain.gatys(image, loss, "adam")
    steps = PLAIN_STEPS if steps is None else steps
    timed = min(steps, TIMED_STEPS)
    return Pass(lambda: [p.cpu() for p in islice(painting, timed)], steps / timed)


def plain_loss(encoder: Encoder, style: Style, image: Tensor, config: Config) -> plain.Loss:
    """The loss that a picture of that size is optimised on, with the weights of ours."""
    look = style.at(max(image.shape[-2:]))
    grams = {tap: m.second.to(image.device) for tap, m in look.items()}
    vgg = plain.Vgg(encoder).to(image.device)
    return plain.Loss(vgg, grams, config.content, config.style, config.variation)


def our_training(cell: Cell) -> Callable[[], object]:
    """Forward and backward through the network and the compact encoder as its judge."""
    machine = runtime()
    network = machine.place(Transformer(training_width(cell)))
    judge = machine.place(load_encoder("compact"))
    photos, style = (machine.tensor(x) for x in training_pictures(cell))
    with torch.no_grad(), machine.autocast():
        wanted = {tap: gram(f) for tap, f in judge(style, TAPS).items()}

    def step() -> float:
        with machine.autocast():
            with torch.no_grad():
                own = judge(photos, ("relu4_1",))["relu4_1"]
            painted = network(photos)
            seen = judge(painted, TAPS)
            loss = total_variation(painted) + content_error(seen["relu4_1"], own)
            for tap, target in wanted.items():
                loss = loss + gram_error(gram(seen[tap]), target)
        network.zero_grad(set_to_none=True)
        loss.sum().backward()  # type: ignore[no-untyped-call]
        return float(loss.detach().sum())  # a GPU is waited for

    return step


def plain_training(cell: Cell) -> Callable[[], object]:
    """The same, plainly."""
    where = device()
    vgg = plain.Vgg(load_encoder("compact")).to(where)
    photos, style = (x.to(where) for x in training_pictures(cell))
    ones = dict.fromkeys(TAPS, 1.0)
    loss = plain.Loss(vgg, plain.style_grams(vgg, style), {"relu4_1": 1.0}, ones, 1.0)
    network = plain.Transformer(Transformer(training_width(cell))).to(where)
    return plain.training_step(network, loss, photos)


def training_width(cell: Cell) -> float:
    """Channels of the network over the paper's."""
    return 1.0 if cell.setting == FULL_WIDTH else 0.5


def training_pictures(cell: Cell) -> tuple[Tensor, Tensor]:
    """Crops and a painting."""
    side = cell.size or 192
    return torch.rand(BATCH, 3, side, side), torch.rand(1, 3, 256, 256)
