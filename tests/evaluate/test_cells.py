"""Cells and rows: what is painted, what it is called, and when it has to be painted again."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto import methods, weights
from impasto.errors import BadOutput, UnknownName
from impasto.evaluate.cells import (
    CONTROLS,
    Cell,
    Row,
    append_row,
    chosen,
    planned,
    read_rows,
    write_rows,
)
from impasto.job import check_controls
from impasto.media import image as media
from impasto.recipe import Recipe

RECIPE = Recipe(size=64)


def cell(
    photo: Path | str = "cat.jpg",
    style: Path | str = "udnie",
    method: str = "adain",
    **given: object,
) -> Cell:
    return planned([method], [str(photo)], [str(style)], RECIPE.model_copy(update=given))[0]


def pictures(photos: Sequence[str], styles: Sequence[str] = ("udnie",)) -> list[str]:
    return [each.picture for each in planned(["adain"], photos, styles, RECIPE)]


# --- methods ---


def test_all_are_all_methods_fast_ones_first() -> None:
    assert chosen("all")[:2] == ["johnson", "dumoulin"]
    assert sorted(chosen(" all ")) == sorted(chosen("gatys,all")) == methods.names()


def test_methods_by_name_keep_their_order() -> None:
    assert chosen("wct, adain,,wct ") == ["wct", "adain"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("adian", "Unknown method 'adian'. Did you mean 'adain'? Choose from: all, johnson"),
        ("all,gaty", "Did you mean 'gatys'"),
        ("alle", "Did you mean 'all'"),
        ("", "Choose from: all"),
        (" , ", "Choose from: all"),
        ("adain;wct", "Unknown method"),
    ],
)
def test_unknown_methods(names: str, words: str) -> None:
    with pytest.raises(UnknownName) as error:
        chosen(names)
    assert words in str(error.value)


# --- what is painted ---


def test_every_method_on_every_pair_in_order() -> None:
    cells = planned(["adain", "wct"], ["a.jpg", "b.jpg"], ["udnie", "c.png"], RECIPE)
    assert [(c.method, c.photo, c.style) for c in cells] == [
        (m, p, s) for m in ("adain", "wct") for p in "ab" for s in ("udnie", "c")
    ]
    assert cells[1].recipe.styles[0].source == "c.png"
    assert cells[1].recipe.photo == "a.jpg"


def test_what_is_given_twice_is_painted_once() -> None:
    assert len(planned(["adain"], ["a.jpg", "a.jpg"], ["udnie", "udnie"], RECIPE)) == 1


def test_strengths_are_taken_in_turn_but_controls_have_none() -> None:
    recipe = Recipe(strength=0.3, size=64, seed=5)
    cells = planned([*CONTROLS, "adain"], ["a.jpg"], ["udnie"], recipe, (0.5, 1.0))
    assert [(c.method, c.recipe.strength) for c in cells] == [
        ("photo", None),
        ("style", None),
        ("adain", 0.5),
        ("adain", 1.0),
    ]
    assert {c.recipe.size for c in cells} == {64}
    assert len({c.picture for c in cells}) == 4


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0, None])
def test_the_strength_of_the_recipe_holds_without_others(strength: float | None) -> None:
    assert cell(strength=strength).recipe.strength == strength


def test_a_colon_in_a_style_is_no_weight() -> None:
    assert cell(style="a:0.5.png").recipe.styles[0].source == "a:0.5.png"


@pytest.mark.parametrize("name", methods.names())
def test_settings_go_to_the_methods_that_have_them(name: str) -> None:
    """A quality for gatys must not keep the others from painting."""
    given = {"quality": "best", "finish": False, "levels": 3, "color": "luma", "seed": 7}
    recipe = cell(method=name, **given).recipe
    check_controls(recipe)
    assert (recipe.color, recipe.seed, recipe.method) == ("luma", 7, name)
    assert (recipe.quality == "best") == (name == "gatys")
    assert (recipe.levels == 3) == (name == "wct")


# --- names ---


def test_names_are_those_of_files_without_suffix() -> None:
    found = cell("x/My cat.JPG", "y/own.style.safetensors")
    assert (found.photo, found.style) == ("My cat", "own")
    assert found.picture == "pictures/My cat.own.adain.png"
    assert cell("a.jpg", "starry-night", strength=0.5).picture.endswith(
        "a.starry-night.adain.0.5.png"
    )


def test_the_same_name_in_different_folders() -> None:
    cells = planned(["adain"], ["x/a.jpg", "y/a.jpg", "y/A.png", "a-2.jpg"], ["udnie"], RECIPE)
    assert [c.photo for c in cells] == ["a", "a-2", "A-3", "a-2-2"]


def test_dots_do_not_make_one_name_of_two() -> None:
    assert len(set(pictures(["a.b.jpg", "a.jpg"], ["c.png", "b.c.png"]))) == 4


@pytest.mark.parametrize("name", ["photo", ".png", "photo.dat", "v1.2", "..a"])
def test_names_without_a_suffix(name: str) -> None:
    """Whatever the last part of a path is: no folder gets into a name."""
    assert cell(f"/tmp/{name}").photo == name
    assert cell(f"/tmp/{name}").picture.count("/") == 1


NAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=300)


@settings(max_examples=100, deadline=None)
@given(sources=st.lists(st.tuples(st.sampled_from("xy"), NAMES), min_size=1, max_size=6))
def test_every_picture_has_a_file_that_every_system_takes(sources: list[tuple[str, str]]) -> None:
    paths = list(dict.fromkeys(f"{folder}/{name}.png" for folder, name in sources))
    found = pictures(paths, paths)
    assert len({picture.casefold() for picture in found}) == len(paths) ** 2
    for picture in found:
        folder, _, name = picture.partition("/")
        assert folder == "pictures"
        assert not set(name) & set('/\\:*?"<>|#%&\n\0')
        assert len(name.encode()) < 255


def test_names_that_are_no_text() -> None:
    """File systems allow names that are not valid UTF-8."""
    found = cell(os.fsdecode(b"caf\xe9.jpg"))
    assert found.photo == "caf?" and found.picture == "pictures/caf_.udnie.adain.png"
    assert len(found.key()) == 16
    row = Row(key="k", method="adain", photo=found.photo, style="udnie")
    assert Row.model_validate_json(row.model_dump_json()) == row


# --- keys ---


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A photo and a style; what is in them does not matter to a key, but that it changes does."""
    for name in ("cat.jpg", "own.png"):
        (tmp_path / name).write_bytes(b"1")
    return tmp_path / "cat.jpg", tmp_path / "own.png"


def test_the_same_work_has_the_same_key(files: tuple[Path, Path]) -> None:
    assert cell(*files, size=64).key() == cell(*files, size=64).key()


@pytest.mark.parametrize(
    "other",
    [
        {"size": 128},
        {"strength": 0.5},
        {"seed": 1},
        {"color": "luma"},
        {"encoder": "vgg19"},
        {"method": "wct"},
        {"method": "photo"},
    ],
    ids=str,
)
def test_other_settings_are_other_work(files: tuple[Path, Path], other: dict[str, str]) -> None:
    assert cell(*files, **{"size": 64, **other}).key() != cell(*files, size=64).key()  # type: ignore[arg-type]


def test_settings_of_other_methods_change_nothing(files: tuple[Path, Path]) -> None:
    assert cell(*files, quality="best").key() == cell(*files).key()


@pytest.mark.parametrize("number", [0, 1])
def test_changed_files_are_other_work(files: tuple[Path, Path], number: int) -> None:
    before = cell(*files).key()
    files[number].write_bytes(b"other")
    assert cell(*files).key() != before


def test_the_name_of_the_picture_is_part_of_the_work(files: tuple[Path, Path]) -> None:
    """What is called ``cat`` here is called ``cat-2`` beside another: not the same file."""
    photo, style = files
    (photo.parent / "x").mkdir()
    other = photo.parent / "x" / "cat.jpg"
    other.touch()
    second = planned(["adain"], [str(other), str(photo)], [str(style)], RECIPE)[1]
    assert (second.recipe, second.photo) == (cell(*files).recipe, "cat-2")
    assert second.key() != cell(*files).key()


def test_new_weights_are_other_work(files: tuple[Path, Path], home: Path) -> None:
    keys = {name: cell(*files, method=name).key() for name in ("adain", "wct", "photo")}
    path = home / "adain-tiny.safetensors"
    weights.write(path, {"a": torch.zeros(1)}, weights.Header("adain", "tiny"))
    after = {name: cell(*files, method=name).key() for name in keys}
    assert [name for name in keys if keys[name] != after[name]] == ["adain"]
    weights.write(home / "encoder-x.safetensors", {}, weights.Header("encoder", "x"))
    assert all(cell(*files, method=name).key() != after[name] for name in keys)


def test_a_style_of_ones_own_may_change_under_its_name(
    files: tuple[Path, Path], home: Path
) -> None:
    """As it does when a network learns it: what was unlearned is not so for ever."""
    path = home.parent / "styles" / "mine.style.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"1")
    before = cell(files[0], "mine").key()
    path.write_bytes(b"learned")
    assert cell(files[0], "mine").key() != before


# --- rows ---


def row(key: str = "k", **given: object) -> Row:
    return Row.model_validate({"key": key, "method": "adain", "photo": "a", "style": "b", **given})


def test_rows_come_back(tmp_path: Path) -> None:
    rows = [
        row("1", strength=0.5, seconds=1.25, metrics={"style_error": 0.5, "lpips": None}),
        row("2", outcome="failed", reason='said "no"\nand \u2028 left \x85 for ü'),
    ]
    for each in rows:
        append_row(tmp_path / "rows.jsonl", each)
    assert read_rows(tmp_path / "rows.jsonl") == rows
    assert len((tmp_path / "rows.jsonl").read_bytes().splitlines()) == 2
    write_rows(tmp_path / "rows.jsonl", rows[1:])
    assert read_rows(tmp_path / "rows.jsonl") == rows[1:]


def test_what_is_no_number_is_missing(tmp_path: Path) -> None:
    """A file of JSON knows no NaN."""
    append_row(tmp_path / "rows.jsonl", row(metrics={"blobs": float("nan")}))
    assert json.loads((tmp_path / "rows.jsonl").read_text())["metrics"] == {"blobs": None}
    assert read_rows(tmp_path / "rows.jsonl")[0].metrics == {"blobs": None}


def test_the_last_row_of_a_key_counts(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    for each in (row("1"), row("2"), row("1", reason="later")):
        append_row(path, each)
    assert [(each.key, each.reason) for each in read_rows(path)] == [("2", ""), ("1", "later")]


@pytest.mark.parametrize(
    "line", [b"", b"{", b'{"key": "1"', b"\xff\xfe", b"null", b'{"key": "1", "new": 2}', b"\0" * 40]
)
def test_what_is_no_row_is_left_out(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    append_row(path, row("before"))
    with path.open("ab") as file:
        file.write(line + b"\n")
    append_row(path, row("after"))
    assert [each.key for each in read_rows(path)] == ["before", "after"]


def test_no_rows_yet(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "none") == read_rows(tmp_path) == []


def test_rows_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "folder", tmp_path / "none" / "rows.jsonl"):
        with pytest.raises(BadOutput):
            append_row(target, row())
        with pytest.raises(BadOutput):
            write_rows(target, [row()])


# --- size ---


@pytest.mark.parametrize(("side", "expected"), [(40, 40), (600, 512)])
def test_photos_are_not_enlarged_unasked(tmp_path: Path, side: int, expected: int) -> None:
    media.write(torch.rand(1, 3, 8, side), tmp_path / "a.png")
    found = planned(["adain", "photo"], [str(tmp_path / "a.png")], ["udnie"], Recipe())
    assert [each.recipe.size for each in found] == [expected] * 2
    assert cell(tmp_path / "a.png", size=50).recipe.size == 50


def test_what_is_no_picture_is_planned_all_the_same(tmp_path: Path) -> None:
    """One of a thousand photos does not keep the others from being painted."""
    (tmp_path / "a.png").write_text("no picture")
    assert len(planned(["adain"], [str(tmp_path / "a.png"), "none.png"], ["udnie"], Recipe())) == 2
