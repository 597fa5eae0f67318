"""The store: what is written comes back, and what is damaged is noticed."""

import os
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto import weights
from impasto.errors import BadOutput, DamagedWeights, MissingWeights, UnknownName
from impasto.weights import Header

HEADER = Header(
    kind="encoder",
    name="compact",
    config={"channels": [16, 32], "tap": "relu1_1"},
    recipe="recipes/encoder-compact.toml",
    license="MIT",
    source="trained by us",
    metrics={"r2": {"relu1_1": 0.97}},
    note="größer",
)


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "a.weight": torch.randn(3, 2, generator=generator),
        "half": torch.randn(5, generator=generator).half(),
        "brain": torch.randn(2, 2, generator=generator).bfloat16(),
        "count": torch.tensor(7),
        "empty": torch.zeros(0, 4),
    }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of weights; the packaged one is empty."""
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    packaged = tmp_path / "packaged"
    monkeypatch.setattr(weights, "folders", lambda: [packaged, weights.user_folder()])
    return tmp_path / "home" / "weights"


# --- files ---


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "encoder-compact.safetensors"
    weights.write(path, tensors(), HEADER)
    content = weights.read(path)
    assert content.tensors.keys() == tensors().keys()
    for key, tensor in tensors().items():
        assert content.tensors[key].dtype == tensor.dtype
        assert torch.equal(content.tensors[key], tensor)
    assert re.fullmatch("[0-9a-f]{64}", content.header.sha256)
    assert replace(content.header, sha256="") == HEADER
    assert weights.read_header(path) == content.header
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_strided_views_are_written_as_they_look(tmp_path: Path) -> None:
    view = torch.arange(12.0).reshape(3, 4).T
    weights.write(tmp_path / "style-x.safetensors", {"view": view}, HEADER)
    assert torch.equal(weights.read(tmp_path / "style-x.safetensors").tensors["view"], view)


def test_digest_sees_names_types_shapes_and_values() -> None:
    zeros = torch.zeros(2, 3)
    different = [
        {"a": zeros},
        {"b": zeros},
        {"a": zeros.T},
        {"a": zeros.int()},
        {"a": zeros + 1},
        {"a": zeros, "b": torch.zeros(0)},
    ]
    assert len({weights.digest(each) for each in different}) == len(different)
    two = {"a": zeros, "b": zeros + 1}
    assert weights.digest(two) == weights.digest(dict(reversed(two.items())))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "encoder-compact.safetensors"
    weights.write(path, tensors(), HEADER)
    return path


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_changed_byte_ever_changes_a_tensor(sound: Path, data: st.DataObject) -> None:
    content = bytearray(sound.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    damaged = sound.with_name("damaged.safetensors")
    damaged.write_bytes(content)
    try:
        found = weights.read(damaged).tensors
    except DamagedWeights:
        return
    assert weights.digest(found) == weights.digest(tensors())


def test_flipped_byte_of_a_tensor_is_found(sound: Path, tmp_path: Path) -> None:
    content = bytearray(sound.read_bytes())
    content[-1] ^= 1
    path = tmp_path / "encoder-vgg19.safetensors"
    path.write_bytes(content)
    with pytest.raises(DamagedWeights, match=r"sha256.*Delete it.*impasto weights pull vgg19") as e:
        weights.read(path)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("kept", [0, 1, 8, 100, -1])
def test_truncated_file_is_found(sound: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "encoder-compact.safetensors"
    path.write_bytes(sound.read_bytes()[:kept])
    for reader in (weights.read, weights.read_header):
        with pytest.raises(DamagedWeights, match="truncated or no safetensors file"):
            reader(path)


def test_foreign_safetensors_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "encoder-x.safetensors"
    save_file(tensors(), path)
    with pytest.raises(DamagedWeights, match="its header lacks kind, name, sha256"):
        weights.read(path)
    save_file(tensors(), path, {"kind": "encoder", "name": "x", "sha256": "", "config": "[1"})
    with pytest.raises(DamagedWeights):
        weights.read(path)


def test_reading_nothing(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights):
        weights.read(tmp_path / "encoder-x.safetensors")
    with pytest.raises(DamagedWeights):
        weights.read(tmp_path)


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "encoder-compact.safetensors"
    weights.write(path, tensors(), HEADER)
    before = path.read_bytes()

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(BadOutput, match="No space left"):
        weights.write(path, {"a": torch.zeros(1)}, HEADER)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadOutput):
        weights.write(tmp_path / "file" / "encoder-x.safetensors", tensors(), HEADER)


# --- finding ---


def test_folders_follow_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "c"))
    packaged, user = weights.folders()
    assert packaged == Path(weights.__file__).parent / "assets" / "weights"
    assert user == weights.user_folder() == tmp_path / "weights"
    assert weights.cache_folder() == tmp_path / "c"
    monkeypatch.delenv("IMPASTO_HOME")
    monkeypatch.setenv("IMPASTO_CACHE", "")
    for folder in (weights.user_folder(), weights.cache_folder()):
        assert folder.is_absolute() and "impasto" in folder.parts


def test_packaged_weights_come_first(home: Path) -> None:
    packaged = weights.folders()[0]
    user = home / "encoder-compact.safetensors"
    weights.write(user, tensors(), HEADER)
    assert weights.find("encoder", "compact") == user
    weights.write(packaged / user.name, tensors(), HEADER)
    assert weights.find("encoder", "compact") == packaged / user.name
    assert [(e.kind, e.name, e.where) for e in weights.available()] == [
        ("encoder", "compact", "packaged"),
        ("encoder", "compact", "user"),
    ]


def test_available_shows_damaged_files_too(home: Path) -> None:
    weights.write(home / "johnson-starry-night.safetensors", tensors(), HEADER)
    (home / "style-torn.safetensors").write_bytes(b"torn")
    (home / "notes.txt").write_text("not weights")
    good, torn = weights.available()
    assert (good.kind, good.name) == ("johnson", "starry-night")
    assert good.header is not None and good.header.config == HEADER.config
    assert good.bytes == good.path.stat().st_size
    assert (torn.kind, torn.name, torn.header, torn.bytes) == ("style", "torn", None, 4)


def test_missing_published_weights_say_how_to_get_them(home: Path) -> None:
    with pytest.raises(MissingWeights, match="impasto weights pull vgg19"):
        weights.find("encoder", "vgg19")


def test_unknown_names(home: Path) -> None:
    weights.write(home / "encoder-compact.safetensors", tensors(), HEADER)
    with pytest.raises(UnknownName, match=r"'compact'\? Choose from: compact, vgg16, vgg19"):
        weights.find("encoder", "compct")
    with pytest.raises(MissingWeights, match="no weights of adain 'vgg19'"):
        weights.find("adain", "vgg19")


def test_names_never_leave_the_folders(home: Path) -> None:
    weights.write(home.parent / "encoder-out.safetensors", tensors(), HEADER)
    home.mkdir()
    (home / "encoder-x").mkdir()
    with pytest.raises(UnknownName):
        weights.find("encoder", "x/../../encoder-out")


def test_files_of_some_kinds(home: Path) -> None:
    packaged = weights.folders()[0]
    for path in (home / "encoder-a.safetensors", packaged / "encoder-b.safetensors"):
        weights.write(path, tensors(), HEADER)
    weights.write(home / "wct-a.safetensors", tensors(), HEADER)
    (home / "encoder-folder.safetensors").mkdir()
    assert weights.files("encoder") == [
        packaged / "encoder-b.safetensors",
        home / "encoder-a.safetensors",
    ]
    assert [path.name for path in weights.files("wct", "adain")] == ["wct-a.safetensors"]
    assert weights.files() == weights.files("encode") == []


# --- what a picture takes ---


def test_parameters_are_counted_without_reading_them(sound: Path, tmp_path: Path) -> None:
    """Those of the five tensors: 3 x 2, 5, 2 x 2, a single number, none."""
    assert weights.parameters(sound) == 6 + 5 + 4 + 1 + 0
    (tmp_path / "encoder-x.safetensors").write_bytes(sound.read_bytes()[:-1])
    with pytest.raises(DamagedWeights):
        weights.parameters(tmp_path / "encoder-x.safetensors")
    with pytest.raises(MissingWeights):
        weights.parameters(tmp_path / "none.safetensors")


def test_what_is_read_is_recorded(sound: Path, tmp_path: Path) -> None:
    other = tmp_path / "wct-x.safetensors"
    weights.write(other, tensors(), HEADER)
    weights.read(sound)
    with weights.recorded() as outer:
        weights.read(sound)
        weights.read(sound)
        weights.read_header(other)
        weights.parameters(other)
        with weights.recorded() as inner:
            weights.read(other)
    weights.read(other)
    assert (outer, inner) == ({sound}, {other})


def test_recording_ends_with_an_error(sound: Path) -> None:
    with pytest.raises(ZeroDivisionError), weights.recorded() as paths:
        raise ZeroDivisionError
    weights.read(sound)
    assert paths == set()


def test_threads_do_not_record_one_another(sound: Path) -> None:
    with weights.recorded() as paths:
        thread = threading.Thread(target=weights.read, args=(sound,))
        thread.start()
        thread.join()
    assert paths == set()
