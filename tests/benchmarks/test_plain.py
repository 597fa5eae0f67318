"""The plain ways compute what ours compute; so a ratio of times is one of ways, not of work."""

from itertools import islice

import plain
import pytest
import torch
from torch import Tensor, nn

from impasto.codes import at
from impasto.losses import content_error, gram_error
from impasto.media.image import scaled
from impasto.methods.adain import Adain
from impasto.methods.gatys import Config, Gatys
from impasto.methods.wct import Wct
from impasto.moments import gram
from impasto.networks.decoders import Decoder
from impasto.networks.encoders import TAPS, Encoder
from impasto.networks.normalisation import InstanceNorm
from impasto.networks.transformer import EVERY, EXPANSION, Transformer
from impasto.runtime import Runtime
from impasto.style import Style


@pytest.fixture
def image() -> Tensor:
    """(1, 3, 48, 64), sides in multiples of 16"""
    return torch.rand(1, 3, 48, 64)


@pytest.mark.parametrize("size", [(48, 64), (37, 53)])
def test_encoder(encoder: Encoder, size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size)
    ours, theirs = encoder(image, TAPS), plain.Vgg(encoder)(image, TAPS)
    for tap in TAPS:
        torch.testing.assert_close(theirs[tap], ours[tap], atol=1e-5, rtol=1e-4)


def test_encoder_runs_no_further_than_the_last_tap(encoder: Encoder, image: Tensor) -> None:
    vgg, seen = plain.Vgg(encoder), []
    for name, layer in vgg.layers.items():
        layer.register_forward_hook(lambda *_, name=name: seen.append(name))
    vgg(image, ("relu2_1",))
    assert seen[-1] == "relu2_1"


@pytest.mark.parametrize("tap", TAPS)
def test_decoder(encoder: Encoder, image: Tensor, tap: str) -> None:
    own = Decoder(encoder.shape, tap)
    with torch.no_grad():
        features = encoder(image, (tap,))[tap]
        expected = own(features, (48, 64))
        torch.testing.assert_close(plain.decoder(own)(features), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "conditional", [(), EVERY, EXPANSION], ids=["johnson", "dumoulin", "ghiasi"]
)
@torch.no_grad()
def test_transformer(image: Tensor, conditional: tuple[str, ...]) -> None:
    own = Transformer(0.125, "instance", conditional)
    for norm in own.norms.values():
        assert isinstance(norm, InstanceNorm)
        if norm.scale is not None and norm.shift is not None:
            norm.scale.uniform_(0.5, 1.5)
            norm.shift.normal_(std=0.1)
    row = own.neutral()[None] + 0.3 * torch.randn(1, own.row_size) if conditional else None
    torch.testing.assert_close(
        plain.Transformer(own)(image, row), own(image, row), atol=1e-4, rtol=0
    )


def test_adain(encoder: Encoder, image: Tensor, painting: Tensor, machine: Runtime) -> None:
    decoders = nn.ModuleDict({tap: Decoder(encoder.shape, tap) for tap in (TAPS[3], TAPS[0])})
    ours = Adain(encoder, decoders, machine, finish=False)
    code = ours.encode(Style.of(painting, encoder))
    own = at(code, 64)
    decode = plain.decoder(decoders[TAPS[3]])
    painted = plain.adain(image, plain.Vgg(encoder), decode, own["mean"], own["std"])
    torch.testing.assert_close(painted, ours.stylize(image, code), atol=1e-4, rtol=0)


@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_wct(
    encoder: Encoder, image: Tensor, painting: Tensor, machine: Runtime, strength: float
) -> None:
    decoders = nn.ModuleDict({tap: Decoder(encoder.shape, tap) for tap in TAPS})
    ours = Wct(encoder, decoders, machine)
    code, painted, vgg = ours.encode(Style.of(painting, encoder)), image, plain.Vgg(encoder)
    own = at(code, 64)
    for tap in reversed(TAPS):
        style = own[f"{tap}/mean"], own[f"{tap}/color"]
        painted = plain.wct_level(painted, vgg, plain.decoder(decoders[tap]), tap, style, strength)
    difference = (painted - ours.stylize(image, code, strength)).abs()
    assert float(difference.mean()) < 1e-3
    assert float(painted.std()) > 0.01


@pytest.fixture
def loss(encoder: Encoder, painting: Tensor) -> plain.Loss:
    """What gatys is optimised on, with our weights."""
    look = Style.of(painting, encoder).at(64)
    grams, config = {tap: m.second for tap, m in look.items()}, Config()
    vgg = plain.Vgg(encoder)
    return plain.Loss(vgg, grams, config.content, config.style, config.variation)


def test_gatys_has_the_same_loss(
    encoder: Encoder, image: Tensor, painting: Tensor, machine: Runtime, loss: plain.Loss
) -> None:
    """What ours reports at its first step, weighted as it says, is the plain loss of the photo."""
    config = Config(init="content", steps=(1,), single=None)
    ours, reported = Gatys(encoder, machine, config), {}
    code = ours.encode(Style.of(painting, encoder))
    ours.stylize(image, code, 0.5, lambda step: reported.update(step.losses))
    total = float(plain.total_variation(image))
    total += sum(config.style[tap] * reported[f"style/{tap}"] for tap in TAPS)
    assert float(loss(image, loss.content(image))) == pytest.approx(total, rel=1e-3)


@pytest.mark.parametrize("optimiser", ["lbfgs", "adam"])
def test_gatys_goes_down(image: Tensor, loss: plain.Loss, optimiser: str) -> None:
    small = scaled(image, 32)
    content = loss.content(small)
    *_, last = islice(plain.gatys(small, loss, optimiser), 10)
    assert float(loss(last, content)) < float(loss(small, content))
    assert 0 <= float(last.min()) <= float(last.max()) <= 1


def test_errors_are_ours() -> None:
    x, y = torch.rand(2, 2, 4, 5, 5)
    torch.testing.assert_close(plain.relative(x, y), content_error(x, y))
    torch.testing.assert_close(plain.gram(x), gram(x))
    torch.testing.assert_close(
        plain.relative(plain.gram(x), plain.gram(y)), gram_error(gram(x), gram(y))
    )


def test_training_gives_every_weight_a_gradient(loss: plain.Loss) -> None:
    network = plain.Transformer(Transformer(0.125))
    assert plain.training_step(network, loss, torch.rand(2, 3, 32, 32))() > 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
