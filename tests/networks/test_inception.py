"""Inception-v3: its shapes, its weights, what it computes, and that it learns."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto import weights
from impasto.errors import DamagedWeights, MissingWeights
from impasto.networks.inception import (
    FID_SIDE,
    SMALLEST,
    Inception,
    InceptionPredictor,
    load_fid,
    load_inception,
)
from impasto.networks.predictors import EMBEDDING


@pytest.fixture(scope="module")
def predictor() -> InceptionPredictor:
    """The network in use, with statistics as if it had seen pictures."""
    torch.manual_seed(1)
    network = InceptionPredictor().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features) / 3
            module.running_var = torch.rand(module.num_features) + 0.5
    return network


@pytest.fixture(scope="module")
def hollow() -> InceptionPredictor:
    """The network without memory."""
    with torch.device("meta"):
        return InceptionPredictor()


# --- the network of the literature ---


@pytest.mark.parametrize(("side", "positions"), [(299, 17), (256, 14), (128, 6), (75, 3)])
def test_positions_at_mixed_6e(hollow: InceptionPredictor, side: int, positions: int) -> None:
    """Szegedy et al. 2015, table 1: 299 pixels become 17 x 17 x 768; of 256 14 x 14 are left."""
    features = hollow.features(torch.empty(2, 3, side, side, device="meta"))
    assert features.shape == (2, 768, positions, positions)


def test_sizes_on_the_way(hollow: InceptionPredictor) -> None:
    """Channels and sides of a picture of 299 pixels, as the literature gives them."""
    seen = {}
    handles = [
        module.register_forward_hook(
            lambda _, __, out, name=name: seen.update({name: tuple(out.shape[1:3])})
        )
        for name, module in hollow.named_children()
    ]
    hollow.features(torch.empty(1, 3, 299, 299, device="meta"))
    for handle in handles:
        handle.remove()
    assert list(seen.items())[:5] == [
        ("Conv2d_1a_3x3", (32, 149)),
        ("Conv2d_2a_3x3", (32, 147)),
        ("Conv2d_2b_3x3", (64, 147)),
        ("Conv2d_3b_1x1", (80, 73)),
        ("Conv2d_4a_3x3", (192, 71)),
    ]
    blocks = {name.removeprefix("Mixed_"): size for name, size in seen.items() if "Mixed" in name}
    assert blocks == {
        "5b": (256, 35),
        "5c": (288, 35),
        "5d": (288, 35),
        **{f"6{letter}": (768, 17) for letter in "abcde"},
    }


def square(inputs: int, pool: int) -> int:
    """Weights of the filters of a block with 5 x 5 filters."""
    double = inputs * 64 + 9 * (64 * 96 + 96 * 96)
    return inputs * 64 + inputs * 48 + 25 * 48 * 64 + double + inputs * pool


def crossed(c: int) -> int:
    """Weights of the filters of a block with 7 x 1 filters."""
    return 2 * 768 * 192 + 2 * 768 * c + 7 * (c * c + 192 * c) + 7 * (3 * c * c + 192 * c)


def test_the_number_of_weights(hollow: InceptionPredictor) -> None:
    filters = [w.numel() for name, w in hollow.named_parameters() if name.endswith("conv.weight")]
    stem = 9 * (3 * 32 + 32 * 32 + 32 * 64) + 64 * 80 + 9 * 80 * 192
    halving = 9 * 288 * 384 + 288 * 64 + 9 * (64 * 96 + 96 * 96)
    blocks = square(192, 32) + square(256, 64) + square(288, 64) + halving
    blocks += sum(crossed(c) for c in (128, 160, 160, 192))
    assert sum(filters) == stem + blocks
    assert sum(w.numel() for w in hollow.bottleneck.parameters()) == 768 * 100 + 100
    assert len(filters) == 5 + 3 * 7 + 4 + 4 * 10


def test_layers_are_named_as_published(hollow: InceptionPredictor) -> None:
    names = set(hollow.state_dict())
    for layer in (
        "Conv2d_1a_3x3",
        "Mixed_5b.branch1x1",
        "Mixed_5c.branch5x5_2",
        "Mixed_5d.branch3x3dbl_3",
        "Mixed_5d.branch_pool",
        "Mixed_6a.branch3x3",
        "Mixed_6a.branch3x3dbl_1",
        "Mixed_6b.branch7x7_3",
        "Mixed_6e.branch7x7dbl_5",
    ):
        parts = ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
        assert {f"{layer}.{part}" for part in parts} <= names, layer
    assert "Mixed_6a.branch_pool.conv.weight" not in names  # a pool and nothing else
    assert not any("conv.bias" in name for name in names)


def test_long_filters_lie_as_published(hollow: InceptionPredictor) -> None:
    """A row, then a column; in the double branch a column first."""
    shapes = {name: tuple(w.shape[2:]) for name, w in hollow.state_dict().items() if w.ndim == 4}
    single = [shapes[f"Mixed_6c.branch7x7_{i}.conv.weight"] for i in (1, 2, 3)]
    double = [shapes[f"Mixed_6c.branch7x7dbl_{i}.conv.weight"] for i in (1, 2, 3, 4, 5)]
    assert single == [(1, 1), (1, 7), (7, 1)]
    assert double == [(1, 1), (7, 1), (1, 7), (7, 1), (1, 7)]


# --- what it computes ---


def layer(state: dict[str, Tensor], name: str, x: Tensor, **how: object) -> Tensor:
    """Convolution, batch norm and ReLU of a state dict."""
    x = F.conv2d(x, state[f"{name}.conv.weight"], **how)  # type: ignore[arg-type]
    norm = [state[f"{name}.bn.{k}"] for k in ("running_mean", "running_var", "weight", "bias")]
    return F.batch_norm(x, *norm, eps=1e-3).relu()


@torch.no_grad()
def test_the_stem_step_by_step(predictor: InceptionPredictor) -> None:
    """What the published weights saw: pixels from -1 to 1, no padding but before the first pool."""
    state, image = predictor.state_dict(), torch.rand(1, 3, 75, 91)
    x = layer(state, "Conv2d_1a_3x3", (image - 0.5) / 0.5, stride=2)
    x = layer(state, "Conv2d_2a_3x3", x)
    x = F.max_pool2d(layer(state, "Conv2d_2b_3x3", x, padding=1), 3, stride=2)
    x = layer(state, "Conv2d_4a_3x3", layer(state, "Conv2d_3b_1x1", x))
    seen: list[Tensor] = []
    block = predictor.get_submodule("Mixed_5b")
    handle = block.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs))
    predictor(image)
    handle.remove()
    torch.testing.assert_close(seen[0], F.max_pool2d(x, 3, stride=2), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_blocks_step_by_step(predictor: InceptionPredictor) -> None:
    state, x = predictor.state_dict(), torch.rand(1, 768, 5, 4)
    row, column = {"padding": (0, 3)}, {"padding": (3, 0)}
    single = layer(state, "Mixed_6b.branch7x7_1", x)
    single = layer(state, "Mixed_6b.branch7x7_2", single, **row)
    single = layer(state, "Mixed_6b.branch7x7_3", single, **column)
    double = layer(state, "Mixed_6b.branch7x7dbl_1", x)
    for number, how in ((2, column), (3, row), (4, column), (5, row)):
        double = layer(state, f"Mixed_6b.branch7x7dbl_{number}", double, **how)
    pooled = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    expected = [layer(state, "Mixed_6b.branch1x1", x), single, double]
    expected.append(layer(state, "Mixed_6b.branch_pool", pooled))
    given = predictor.get_submodule("Mixed_6b")(x)
    torch.testing.assert_close(given, torch.cat(expected, 1), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_halving_takes_the_maximum_along(predictor: InceptionPredictor) -> None:
    x = torch.rand(1, 288, 7, 9)
    halved = predictor.get_submodule("Mixed_6a")(x)
    assert halved.shape == (1, 384 + 96 + 288, 3, 4)
    assert torch.equal(halved[:, -288:], F.max_pool2d(x, 3, stride=2))


@torch.no_grad()
def test_the_embedding_is_linear_in_the_mean_features(predictor: InceptionPredictor) -> None:
    image = torch.rand(2, 3, 80, 100)
    mean = predictor.features(image).mean((2, 3))
    embedding = predictor(image)
    assert (embedding.shape, embedding.dtype) == ((2, EMBEDDING), torch.float32)
    torch.testing.assert_close(embedding, predictor.bottleneck(mean))


@torch.no_grad()
def test_each_painting_by_itself(predictor: InceptionPredictor) -> None:
    images = torch.rand(2, 3, 75, 75)
    torch.testing.assert_close(predictor(images)[1:], predictor(images[1:]), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (40, 300), (74, 75)])
@torch.no_grad()
def test_small_pictures_are_enlarged(predictor: InceptionPredictor, size: tuple[int, int]) -> None:
    image = torch.rand(1, 3, *size)
    larger = F.interpolate(image, [max(side, SMALLEST) for side in size], mode="bilinear")
    embedding = predictor(image)
    assert embedding.isfinite().all()
    torch.testing.assert_close(embedding, predictor(larger))


@torch.no_grad()
def test_half_precision_inside_float32_outside(predictor: InceptionPredictor) -> None:
    image = torch.rand(1, 3, 75, 75)
    with torch.autocast("cpu", torch.bfloat16):
        embedding = predictor(image)
    exact = predictor(image)
    assert embedding.dtype == torch.float32
    assert (embedding - exact).norm() < 0.05 * exact.norm()


def test_gradients_reach_the_first_convolution() -> None:
    predictor = InceptionPredictor()  # batch norm by the batch, as in training
    predictor(torch.rand(2, 3, 75, 75)).square().sum().backward()
    for name, weight in predictor.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
    first = predictor.get_submodule("Conv2d_1a_3x3.conv").weight
    assert first.grad.abs().amax((1, 2, 3)).gt(0).all()


# --- as FID sees ---


@pytest.fixture(scope="module")
def whole() -> Inception:
    """The whole network in use."""
    torch.manual_seed(2)
    return Inception().requires_grad_(False).eval()


def test_the_last_blocks(whole: Inception) -> None:
    """Szegedy et al. 2015, table 1: 8 x 8 x 1280, and 8 x 8 x 2048 in the end."""
    with torch.device("meta"):
        network = Inception()
        x = torch.empty(1, 768, 17, 17)
    sizes = []
    for name in ("Mixed_7a", "Mixed_7b", "Mixed_7c"):
        x = network.get_submodule(name)(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes == [(1280, 8, 8), (2048, 8, 8), (2048, 8, 8)]
    assert sum(w.numel() for w in network.parameters()) == 21_785_568


def test_the_last_layers_are_named_as_published(whole: Inception) -> None:
    shapes = {name: tuple(w.shape) for name, w in whole.filters().items() if w.ndim == 4}
    assert shapes["Mixed_7a.branch3x3_2.conv.weight"] == (320, 192, 3, 3)
    assert shapes["Mixed_7a.branch7x7x3_4.conv.weight"] == (192, 192, 3, 3)
    assert shapes["Mixed_7b.branch3x3_2a.conv.weight"] == (384, 384, 1, 3)
    assert shapes["Mixed_7b.branch3x3_2b.conv.weight"] == (384, 384, 3, 1)
    assert shapes["Mixed_7c.branch3x3dbl_3a.conv.weight"] == (384, 384, 1, 3)
    assert shapes["Mixed_7c.branch3x3dbl_3b.conv.weight"] == (384, 384, 3, 1)
    assert shapes["Mixed_7c.branch_pool.conv.weight"] == (192, 2048, 1, 1)


def test_forks_step_by_step(whole: Inception) -> None:
    state, x = whole.state_dict(), torch.rand(1, 1280, 3, 4)

    def fork(name: str, x: Tensor) -> Tensor:
        row = layer(state, f"{name}a", x, padding=(0, 1))
        return torch.cat([row, layer(state, f"{name}b", x, padding=(1, 0))], 1)

    double = layer(state, "Mixed_7b.branch3x3dbl_1", x)
    double = layer(state, "Mixed_7b.branch3x3dbl_2", double, padding=1)
    pooled = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    expected = [
        layer(state, "Mixed_7b.branch1x1", x),
        fork("Mixed_7b.branch3x3_2", layer(state, "Mixed_7b.branch3x3_1", x)),
        fork("Mixed_7b.branch3x3dbl_3", double),
        layer(state, "Mixed_7b.branch_pool", pooled),
    ]
    given = whole.get_submodule("Mixed_7b")(x)
    torch.testing.assert_close(given, torch.cat(expected, 1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (400, 31)])
def test_fid_looks_at_squares_of_one_size(whole: Inception, size: tuple[int, int]) -> None:
    picture = torch.rand(1, 3, *size)
    seen = F.interpolate(picture, (FID_SIDE, FID_SIDE), mode="bilinear", antialias=True)
    found = whole(picture)
    assert found.shape == (1, 2048)
    torch.testing.assert_close(found, whole.features(seen).mean((2, 3)))


def test_a_file_with_the_first_blocks_only(predictor: InceptionPredictor, home: Path) -> None:
    """Enough for the prediction network; FID says what to do."""
    path = home / "inception-v3.safetensors"
    weights.write(path, predictor.filters(), weights.Header("inception", "v3"))
    load_inception()
    with pytest.raises(DamagedWeights, match="Import it again"):
        load_fid()


# --- published weights ---


def test_the_filters_without_the_linear_map(hollow: InceptionPredictor) -> None:
    names = set(hollow.filters())
    assert len(names) == 5 * 70
    counters = {name for name in hollow.state_dict() if name.endswith("num_batches_tracked")}
    assert set(hollow.state_dict()) - names == {"bottleneck.weight", "bottleneck.bias"} | counters


def test_loading_what_is_stored(predictor: InceptionPredictor, home: Path) -> None:
    path = home / "inception-v3.safetensors"
    half = {key: tensor.half() for key, tensor in predictor.filters().items()}
    weights.write(path, half, weights.Header("inception", "v3"))
    loaded = load_inception()
    assert not loaded.training
    for key, tensor in loaded.filters().items():
        assert torch.equal(tensor, half[key].float()), key
    assert all(weight.requires_grad for weight in loaded.parameters())


def test_without_weights_it_says_where_they_are(home: Path) -> None:
    with pytest.raises(MissingWeights, match=r"inception_v3_google-0cc3c7bd\.pth") as error:
        load_inception()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrong", ["missing", "surplus", "shape"])
def test_another_network_under_its_name(
    wrong: str, predictor: InceptionPredictor, home: Path
) -> None:
    own = predictor.filters()
    key = "Conv2d_1a_3x3.conv.weight"
    kept = {name: tensor for name, tensor in own.items() if name != key}
    content = {
        "missing": kept,
        "surplus": {**own, "bottleneck.bias": torch.ones(100)},
        "shape": {**own, key: torch.ones(32, 3, 5, 5)},
    }[wrong]
    path = home / "inception-v3.safetensors"
    weights.write(path, content, weights.Header("inception", "v3"))
    with pytest.raises(DamagedWeights, match="does not hold the filters"):
        load_inception()
