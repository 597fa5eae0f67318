"""Style: what is remembered of a picture, mixed, stored and read back without loss that counts."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto import style as module
from impasto import weights
from impasto.errors import BadInput, BadPicture, DamagedWeights, MissingWeights, UnknownName
from impasto.media import image as media
from impasto.moments import Moments, TapMoments, about_mean, moments
from impasto.networks.encoders import SHAPES, TAPS, Encoder
from impasto.style import (
    SUFFIX,
    Style,
    about,
    check_encoder,
    gallery,
    make,
    named,
    open_style,
    pack,
    unpack,
)


def flat(value: float, channels: int = 2) -> TapMoments:
    """The same moments at every tap, told apart by one number."""
    m = Moments(torch.full((1, channels), value), torch.full((1, channels, channels), value**2))
    return dict.fromkeys(TAPS, m)


def simple(values: dict[int, float], encoder: str = "tiny", name: str = "style") -> Style:
    return Style(encoder, {size: flat(value) for size, value in values.items()}, name)


def distance(a: TapMoments, b: TapMoments) -> float:
    """Largest difference of second moments, relative to their size."""
    return max(
        float((a[tap].second - b[tap].second).norm() / b[tap].second.norm().clamp_min(1e-8))
        for tap in b
    )


# --- looking ---


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((64, 48), [128]),
        ((1, 1), [128]),
        ((100, 117), [128]),
        ((60, 300), [128, 256]),
        ((182, 90), [128]),
        ((183, 90), [128, 256]),
        ((366, 100), [128, 256, 512]),
        ((40, 1024), [128, 256, 512, 1024]),
        ((30, 2000), [128, 256, 512, 1024]),
    ],
)
def test_sizes_are_those_the_picture_has(
    encoder: Encoder, size: tuple[int, int], expected: list[int]
) -> None:
    """And those to which it is enlarged by little: more would be a blur, less loses strokes."""
    assert list(Style.of(torch.rand(1, 3, *size), encoder).moments) == expected


def test_moments_are_those_of_the_features(encoder: Encoder, painting: Tensor) -> None:
    style = Style.of(painting, encoder, "coffee")
    assert (style.encoder, style.name) == ("tiny", "coffee")
    seen = encoder(media.resize(painting, (128, 128)))
    for tap in TAPS:
        m, expected = style.moments[128][tap], moments(seen[tap])
        torch.testing.assert_close(m.mean, expected.mean)
        torch.testing.assert_close(m.second, expected.second)
        assert not m.second.requires_grad


def test_any_kind_of_picture(encoder: Encoder, painting: Tensor, tmp_path: Path) -> None:
    """A path and the pixels in it are the same style."""
    media.write(painting, tmp_path / "a.png")
    of_path = Style.of(tmp_path / "a.png", encoder)
    assert distance(of_path.moments[128], Style.of(painting, encoder).moments[128]) < 0.01
    with pytest.raises(BadPicture):
        Style.of(tmp_path / "none.png", encoder)


def test_even_mask_changes_nothing(encoder: Encoder, painting: Tensor) -> None:
    whole = Style.of(painting, encoder)
    masked = Style.of(painting, encoder, mask=torch.ones(1, 1, 10, 10))
    assert distance(masked.moments[128], whole.moments[128]) < 1e-4


def test_mask_takes_the_style_of_its_part(
    encoder: Encoder, painting: Tensor, photo: Tensor
) -> None:
    """The half that is shown decides; only the border between the halves knows of the other."""
    left, right = painting, media.resize(photo, (64, 64)).flip(1)
    mask = torch.zeros(1, 1, 64, 128)
    mask[..., :64] = 1
    part = Style.of(torch.cat([left, right], 3), encoder, mask=mask).moments[128]
    near = Style("tiny", {128: {t: moments(f) for t, f in encoder(left).items()}}).moments[128]
    far = Style("tiny", {128: {t: moments(f) for t, f in encoder(right).items()}}).moments[128]
    assert distance(part, near) < 0.25 * distance(part, far)
    assert distance(part, near) < 0.25


# --- mixing ---


@pytest.mark.parametrize(
    ("size", "expected"),
    [(128, 1), (256, 2), (512, 6), (32, 1), (4000, 6), (181.02, 1.5), (362.04, 4)],
)
def test_at(size: float, expected: float) -> None:
    """Exact where there is a look, even in the logarithm between, clamped beyond."""
    mean = simple({128: 1, 256: 2, 512: 6}).at(size)["relu3_1"].mean
    assert mean.flatten().tolist() == pytest.approx([expected] * 2, rel=1e-3)


@given(size=st.floats(1, 5000))
@settings(max_examples=30, deadline=None)
def test_at_stays_between(size: float) -> None:
    """Extrapolation would make Gram matrices that no picture has."""
    value = simple({128: 1, 512: 3}).at(size)["relu1_1"].mean[0, 0].item()
    assert 1 - 1e-6 <= value <= 3 + 1e-6


def test_at_with_one_size() -> None:
    assert simple({128: 5}).at(700)["relu1_1"].mean[0, 0] == 5


def test_mean_of_styles() -> None:
    """Moments average; sizes that some do not have come from those that have them."""
    mean = Style.mean([simple({128: 1, 256: 3}), simple({128: 3})], "both")
    assert mean.name == "both"
    assert mean.moments[128]["relu1_1"].mean[0, 0] == 2
    assert mean.moments[128]["relu1_1"].second[0, 0, 0] == 5  # (1 + 9) / 2
    assert mean.moments[256]["relu1_1"].mean[0, 0] == 3
    assert list(mean.moments) == [128, 256]


def test_mean_of_one_is_itself(encoder: Encoder, painting: Tensor) -> None:
    style = Style.of(painting, encoder)
    mean = Style.mean([style])
    assert distance(mean.moments[128], style.moments[128]) < 1e-6


def test_mean_of_different_encoders() -> None:
    """Channels of different networks have nothing to do with one another."""
    with pytest.raises(BadInput, match=r"different encoders \(tiny, vgg19\)"):
        Style.mean([simple({128: 1}), simple({128: 1}, encoder="vgg19")])


def test_mean_of_nothing() -> None:
    """An empty list is not a mix of encoders."""
    with pytest.raises(BadInput, match=r"^(?!.*different encoders)"):
        Style.mean([])


# --- files ---


@given(channels=st.integers(1, 9), batch=st.integers(1, 2), seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_unpack_is_the_inverse_of_pack(channels: int, batch: int, seed: int) -> None:
    half = torch.randn(batch, channels, channels, generator=torch.Generator().manual_seed(seed))
    symmetric = half + half.mT
    packed = pack(symmetric)
    assert packed.shape == (batch, channels * (channels + 1) // 2)
    assert torch.equal(unpack(packed), symmetric)


def test_save_and_load(encoder: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"größer{SUFFIX}"
    style = Style.of(torch.rand(1, 3, 60, 300), encoder, "größer")
    style = style.with_facts({"title": "Größe", "year": "1889"})
    style.save(path)
    loaded = Style.load(path)
    assert (loaded.encoder, loaded.name, loaded.about) == ("tiny", "größer", style.about)
    assert sorted(loaded.moments) == [128, 256]
    for size, taps in style.moments.items():
        assert loaded.moments[size].keys() == taps.keys()
        assert distance(loaded.moments[size], taps) < 1e-3
        for tap, m in taps.items():
            torch.testing.assert_close(loaded.moments[size][tap].mean, m.mean, rtol=1e-3, atol=1e-4)
            assert loaded.moments[size][tap].second.dtype == torch.float32


KEY = "dumoulin-gallery/0123456789ab"


def learned(encoder: Encoder) -> Style:
    """A style with the rows of two networks."""
    rows = {KEY: torch.randn(1, 40), "other-mine/ba9876543210": torch.randn(7)}
    return replace(Style.of(torch.rand(1, 3, 40, 40), encoder, "mine"), learned=rows)


def test_what_was_learned_survives(encoder: Encoder, tmp_path: Path) -> None:
    """Bit for bit: a row is no statistic that may be rounded."""
    style = learned(encoder)
    style.save(tmp_path / f"a{SUFFIX}")
    loaded = Style.load(tmp_path / f"a{SUFFIX}")
    assert loaded.learned.keys() == style.learned.keys()
    assert all(torch.equal(loaded.learned[key], row) for key, row in style.learned.items())
    loaded.save(tmp_path / f"b{SUFFIX}")
    assert torch.equal(Style.load(tmp_path / f"b{SUFFIX}").learned[KEY], style.learned[KEY])


def test_what_was_learned_leaves_the_moments_alone(encoder: Encoder, tmp_path: Path) -> None:
    """Other methods take the file as if there were no rows in it."""
    style = learned(encoder)
    style.save(tmp_path / f"rows{SUFFIX}")
    replace(style, learned={}).save(tmp_path / f"none{SUFFIX}")
    rows, none = (Style.load(tmp_path / f"{name}{SUFFIX}") for name in ("rows", "none"))
    assert none.learned == {}
    assert rows.moments.keys() == none.moments.keys() == {128}
    for tap in TAPS:
        for a, b in zip(rows.moments[128][tap], none.moments[128][tap], strict=True):
            assert torch.equal(a, b)
    assert (rows.name, rows.encoder, rows.about) == (none.name, none.encoder, none.about)


def test_what_was_learned_is_of_one_painting(encoder: Encoder) -> None:
    """It stays with more facts; the average of two paintings has no row that was ever learned."""
    style = learned(encoder)
    assert style.with_facts({"title": "a"}).learned is style.learned
    assert Style.mean([style, style]).learned == {}


def test_what_was_learned_is_finite(encoder: Encoder, tmp_path: Path) -> None:
    """Or it would paint what is no picture, without a word."""
    replace(learned(encoder), learned={KEY: torch.tensor([1.0, torch.nan])}).save(
        tmp_path / f"a{SUFFIX}"
    )
    with pytest.raises(DamagedWeights):
        Style.load(tmp_path / f"a{SUFFIX}")


def test_covariances_survive(tmp_path: Path) -> None:
    """What is stored is the covariance: beside a large mean, half of a raw moment is nothing."""
    factors = torch.randn(1, 6, 20) * 0.1
    covariance = factors @ factors.mT
    m = about_mean(torch.full((1, 6), 10.0), covariance)
    Style("tiny", {128: dict.fromkeys(TAPS, m)}).save(tmp_path / f"a{SUFFIX}")
    parts = {key.split("/")[-1] for key in weights.read(tmp_path / f"a{SUFFIX}").tensors}
    assert parts == {"mean", "covariance"}
    loaded = Style.load(tmp_path / f"a{SUFFIX}").moments[128]["relu1_1"]
    assert (loaded.covariance() - covariance).norm() < 1e-3 * covariance.norm()


def test_large_values_survive(tmp_path: Path) -> None:
    """Half precision ends at 65504: beyond it infinity would be stored."""
    simple({128: 1000}).save(tmp_path / f"a{SUFFIX}")
    loaded = Style.load(tmp_path / f"a{SUFFIX}").moments[128]["relu1_1"]
    assert loaded.second.unique().tolist() == [1e6]
    assert loaded.mean.unique().tolist() == [1000]


def test_a_compact_style_is_a_small_file(tmp_path: Path) -> None:
    """Twenty-two of them are in the wheel."""
    style = Style.of(torch.rand(1, 3, 20, 1024), Encoder(SHAPES["compact"], "compact"))
    style.save(tmp_path / f"a{SUFFIX}")
    assert (tmp_path / f"a{SUFFIX}").stat().st_size < 200_000


def test_facts_are_added() -> None:
    style = simple({128: 1}).with_facts({"title": "a", "artist": "b"})
    more = style.with_facts({"title": "c"})
    assert more.about == {"title": "c", "artist": "b"}
    assert style.about == {"title": "a", "artist": "b"}


def test_about_reads_the_header(tmp_path: Path) -> None:
    """Listing the gallery must not read megabytes of moments."""
    simple({128: 1}).with_facts({"title": "a"}).save(tmp_path / f"a{SUFFIX}")
    assert about(tmp_path / f"a{SUFFIX}") == {"encoder": "tiny", "title": "a"}


def test_load_weights_that_are_no_style(tmp_path: Path) -> None:
    path = tmp_path / "encoder-a.safetensors"
    weights.write(path, {"a": torch.zeros(1)}, weights.Header("encoder", "a"))
    with pytest.raises(BadInput, match="kind 'encoder', not a style"):
        Style.load(path)


@pytest.mark.parametrize("kept", [0, 7, 500])
def test_load_a_truncated_style(tmp_path: Path, kept: int) -> None:
    path = tmp_path / f"a{SUFFIX}"
    simple({128: 1}).save(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DamagedWeights):
        Style.load(path)


# --- names ---


@pytest.fixture
def two_styles(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packaged style, one of the user, and one that both have."""
    monkeypatch.setattr(module, "ASSETS", tmp_path / "assets")
    mine, packaged = home.parent / "styles", tmp_path / "assets" / "styles"
    simple({128: 1}, name="starry-night").save(packaged / f"starry-night{SUFFIX}")
    simple({128: 2}, name="starry-night").save(mine / f"starry-night{SUFFIX}")
    simple({128: 3}, name="my-own").save(mine / f"my-own{SUFFIX}")


@pytest.mark.usefixtures("two_styles")
def test_named_styles() -> None:
    """Packaged names keep their meaning, whatever lies in the user's folder."""
    assert list(gallery()) == ["starry-night", "my-own"]
    assert named("my-own").moments[128]["relu1_1"].mean[0, 0] == 3
    assert named("starry-night").moments[128]["relu1_1"].mean[0, 0] == 1


@pytest.mark.usefixtures("two_styles")
def test_a_weight_that_is_none() -> None:
    with pytest.raises(BadInput, match=r"'abc' is no weight of a style: write my-own:0\.7"):
        named("my-own:abc")


@pytest.mark.usefixtures("two_styles")
def test_unknown_style() -> None:
    with pytest.raises(
        UnknownName, match=r"style 'stary-night'\. Did you mean 'starry-night'\?.*my-own"
    ):
        named("stary-night")


def test_a_picture_where_a_style_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes a style of it is said; a gallery name stays one, whatever lies in the folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("mine.png", "udnie"):
        (tmp_path / name).touch()
    with pytest.raises(BadInput, match=r"styles make mine\.png -o mine\.style\.safetensors"):
        open_style("mine.png")
    assert open_style("udnie").name == "udnie"
    with pytest.raises(UnknownName):
        open_style("x" * 300)


def test_make_averages_pictures(home: Path, painting: Tensor, tmp_path: Path) -> None:
    network = Encoder(SHAPES["compact"], "compact")
    header = weights.Header("encoder", "compact")
    weights.write(home / "encoder-compact.safetensors", network.state_dict(), header)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, pixels in zip(paths, (painting, painting.flip(1)), strict=True):
        media.write(pixels, path)
    style = make(paths, "compact", "two")
    each = [Style.of(path, network) for path in paths]
    assert (style.name, style.encoder) == ("two", "compact")
    assert distance(style.moments[128], Style.mean(each).moments[128]) < 1e-5


def test_no_style_is_made_under_a_name_of_the_gallery(painting: Tensor, tmp_path: Path) -> None:
    """Networks have learned that name: they would paint the other picture."""
    media.write(painting, tmp_path / "a.png")
    with pytest.raises(BadInput, match="'udnie' is a style of the gallery"):
        make([tmp_path / "a.png"], "compact", "udnie")


def test_a_style_of_ones_own_may_be_made_anew(home: Path, painting: Tensor, tmp_path: Path) -> None:
    network = Encoder(SHAPES["compact"], "compact")
    header = weights.Header("encoder", "compact")
    weights.write(home / "encoder-compact.safetensors", network.state_dict(), header)
    media.write(painting, tmp_path / "a.png")
    file = weights.user_folder().parent / "styles" / "mine.style.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    make([tmp_path / "a.png"], "compact", "mine", file).save(file)
    assert gallery()["mine"] == file
    assert make([tmp_path / "a.png"], "compact", "mine", file).name == "mine"
    with pytest.raises(BadInput, match="'mine' is a style of the gallery"):
        make([tmp_path / "a.png"], "compact", "mine", tmp_path / "mine.style.safetensors")


def test_style_by_encoder_name(home: Path, painting: Tensor) -> None:
    with pytest.raises(MissingWeights, match="pull vgg19"):
        Style.of(painting, "vgg19")


def test_check_encoder_says_what_to_do() -> None:
    check_encoder([simple({128: 1})], "tiny")
    with pytest.raises(BadInput, match=r"'a' was made with .*'tiny', not 'vgg19'.*--encoder vgg19"):
        check_encoder([simple({128: 1}, "vgg19"), simple({128: 1}, name="a")], "vgg19")
