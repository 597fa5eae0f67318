"""The page of all results: whole, in order, and what the results come to."""

import re
from pathlib import Path
from xml.etree import ElementTree

import page
import plots
import pytest
from rows import RESULTS
from tables import TABLES


def test_a_section_for_every_benchmark(results: Path) -> None:
    text = page.page(results)["benchmarks.md"]
    assert "## Abacus, 2 cores" in text
    assert re.findall(r"^### (.+)$", text, re.M) == [name.capitalize() for name in TABLES]
    for name in TABLES:
        assert f"`python benchmarks/run.py {name}`" in text
    assert "| johnson | 0.0444 | 0.2 | 4.5 x |" in text
    assert "*Measured 2020-01-01 by 1.*" in text


def test_every_plot_is_on_the_page_and_a_picture(results: Path) -> None:
    files = page.page(results)
    shown = re.findall(r"!\[.*?\]\((.+?)\)", files["benchmarks.md"])
    assert sorted(shown) == sorted(files.keys() - {"benchmarks.md"})
    assert len(shown) == 4
    for path in shown:
        root = ElementTree.fromstring(files[path])
        assert root.tag.endswith("svg")


def test_plots_stay_within_their_frame(results: Path) -> None:
    for path, text in page.page(results).items():
        for x in re.findall(r' c?x="(-?[\d.]+)"', text if path.endswith("svg") else ""):
            assert 0 <= float(x) <= plots.WIDTH, path


def test_what_was_not_measured_has_no_section(results: Path) -> None:
    (results / "made-up" / "memory.jsonl").unlink()
    files = page.page(results)
    assert "### Memory" not in files["benchmarks.md"]
    assert not any("memory" in path for path in files if path.endswith("svg"))


def test_writing_leaves_nothing_stale(results: Path, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    old = docs / page.PICTURES / "gone-speed.svg"
    old.parent.mkdir(parents=True)
    old.write_text("")
    files = page.page(results)
    assert set(page.drifted(files, docs)) == {*(docs / path for path in files), old}
    page.write(files, docs)
    assert page.drifted(files, docs) == []
    assert not old.exists()
    (docs / "benchmarks.md").write_text("by hand")
    assert page.drifted(files, docs) == [docs / "benchmarks.md"]


def test_the_page_in_docs_is_what_the_results_come_to() -> None:
    stale = page.drifted(page.page(RESULTS), page.DOCS)
    assert not stale, "run: python benchmarks/page.py"


@pytest.mark.parametrize("log", [True, False])
def test_an_axis_puts_values_in_order(log: bool) -> None:
    axis = plots.axis([0.02, 3.0], 10, 110, log)
    assert axis.at(axis.low) == pytest.approx(10)
    assert axis.at(axis.high) == pytest.approx(110)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 12
    assert [axis.at(tick) for tick in ticks] == sorted(axis.at(tick) for tick in ticks)


def test_words_in_plots_are_only_words() -> None:
    text = plots.scatter("<a & b>", "x", "y", {"<script>": (1.0, 1.0), "near": (1.01, 1.0)})
    assert "<script>" not in text
    words = [e.text for e in ElementTree.fromstring(text).iter() if e.tag.endswith("text")]
    assert {"<a & b>", "<script>", "near"} <= set(words)
