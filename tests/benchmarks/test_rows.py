"""Rows: kept line by line, read back as they were, and nothing is done twice."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import (
    RESULTS,
    Cell,
    Options,
    Results,
    Row,
    keep_machine,
    machines,
    read,
    slug,
    this_machine,
)

from impasto.errors import BadInput

CELLS = [Cell(benchmark="speed", method="wct", size=size) for size in (1, 2, 3)]


def opened(folder: Path, again: bool = False) -> Results:
    return Results(folder, "made-up", "speed", again)


def work(cell: Cell) -> dict[str, float]:
    return {"seconds": float(cell.size or 0)}


@settings(max_examples=25, deadline=None)
@given(
    method=st.text(),
    size=st.none() | st.integers(1, 10**6),
    strength=st.none() | st.floats(0, 1),
    seconds=st.floats(allow_nan=False, allow_infinity=False),
)
def test_a_row_is_read_as_it_was_written(
    method: str, size: int | None, strength: float | None, seconds: float
) -> None:
    row = Row(
        benchmark="speed",
        method=method,
        size=size,
        strength=strength,
        machine="m",
        date="2020-01-01",
        version="1",
        figures={"seconds": seconds},
        series={"step": (1.0, 2.0)},
    )
    back = Row.model_validate_json(row.model_dump_json(exclude_defaults=True))
    assert back == row
    assert back.cell == row.cell


def test_finished_cells_are_not_done_again(tmp_path: Path) -> None:
    opened(tmp_path).measure(CELLS[:2], work)
    later, done = opened(tmp_path), []
    later.measure(CELLS, lambda cell: done.append(cell) or work(cell))
    assert done == CELLS[2:]
    assert [row.cell for row in later.rows] == CELLS
    assert read(later.path) == later.rows


def test_again_replaces_what_is_finished_and_keeps_the_rest(tmp_path: Path) -> None:
    opened(tmp_path).measure(CELLS, work)
    opened(tmp_path, again=True).measure(CELLS[1:2], lambda cell: {"seconds": 9.0})
    assert [row.figures["seconds"] for row in opened(tmp_path).rows] == [1, 9, 3]


def test_the_same_cell_twice_is_done_once(tmp_path: Path) -> None:
    assert list(opened(tmp_path, again=True).missing([CELLS[0], CELLS[0]])) == CELLS[:1]


def test_what_cannot_be_done_leaves_no_row(tmp_path: Path) -> None:
    results = opened(tmp_path)
    results.measure(CELLS, lambda cell: None)
    assert results.rows == []


def test_half_a_line_is_forgotten(tmp_path: Path) -> None:
    """A run that was killed while it wrote."""
    first = opened(tmp_path)
    first.measure(CELLS[:2], work)
    text = first.path.read_text()
    first.path.write_text(text[:-10])
    later = opened(tmp_path)
    assert [row.cell for row in later.rows] == CELLS[:1]
    later.measure(CELLS, work)
    assert [row.cell for row in read(later.path)] == CELLS


def test_a_file_of_something_else_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "speed.jsonl"
    path.write_text('{"method": "wct"}\n')
    with pytest.raises(BadInput, match=r"speed\.jsonl"):
        read(path)


def test_figures_are_rounded_to_what_counts(tmp_path: Path) -> None:
    row = opened(tmp_path).add(CELLS[0], {"seconds": 0.123456789}, {"step": [1.23456789]})
    assert row.figures == {"seconds": 0.12346}
    assert row.series == {"step": (1.2346,)}


def test_what_is_asked_for(row: Callable[..., Row]) -> None:
    options = Options(methods=("wct",), sizes=(2,))
    assert [cell for cell in CELLS if options.wants(cell)] == [CELLS[1]]
    assert options.wants(Cell(benchmark="quality", method="photo", size=2))
    assert not options.wants(Cell(benchmark="speed", method="adain", size=2))


def test_slugs() -> None:
    assert slug("Intel(R) Core(TM) i7-8700 4 cores torch 2.13.0") == (
        "intel-core-i7-8700-4-cores-torch-2.13.0"
    )


def test_a_machine_is_told_by_its_parts() -> None:
    machine = this_machine()
    assert machine.torch.partition("+")[0] in machine.name
    assert "1-core-" in machine.name
    assert this_machine("My Machine").name == "my-machine"


def test_an_engine_that_was_there_is_not_forgotten(tmp_path: Path) -> None:
    machine = this_machine("m").model_copy(update={"openvino": "2026.0"})
    keep_machine(tmp_path, machine)
    keep_machine(tmp_path, machine.model_copy(update={"openvino": None, "memory_gb": 3.0}))
    assert machines(tmp_path) == [machine.model_copy(update={"memory_gb": 3.0})]


def test_every_result_in_the_repository_is_a_row() -> None:
    """One machine a folder, one benchmark a file, one row a cell."""
    assert machines()
    for machine in machines():
        for path in (RESULTS / machine.name).glob("*.jsonl"):
            rows = read(path)
            assert {(row.machine, row.benchmark) for row in rows} == {(machine.name, path.stem)}
            assert len({row.cell for row in rows}) == len(rows)
            assert all(row.figures for row in rows)
