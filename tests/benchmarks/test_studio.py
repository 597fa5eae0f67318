"""The studio's benchmark: what it sends, what it takes for whole, and its table."""

import json
import random
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from rows import RESULTS
from studio_parts import mutations
from studio_parts.kills import notes
from studio_parts.pictures import is_whole, photo
from studio_parts.tally import Tally

import studio
from impasto.media import image as media
from impasto.recipe import Recipe

BASE = Recipe(photo="sample:coffee", styles=("udnie",), method="adain")


def test_malformed_files_are_the_same_every_time() -> None:
    files = list(mutations.malformed(60, seed=3))
    assert files == list(mutations.malformed(60, seed=3))
    assert files != list(mutations.malformed(60, seed=4))
    assert len(files) == 60


def test_all_seeds_can_be_read() -> None:
    pictures = [data for data in mutations.seeds() if data[4:12] != b"ftypisom"]
    assert len(pictures) >= len(mutations.KINDS)
    for data in pictures:
        assert media.read(data).pixels.shape[-1] >= 32


def test_bombs_are_small() -> None:
    assert max(map(len, mutations.bombs())) < 200_000


@pytest.mark.parametrize("mutation", mutations.MUTATIONS)
def test_mutations_take_whatever_another_has_left(mutation: mutations.Mutation) -> None:
    data = photo(1)
    made = {mutation(data, random.Random(seed)) for seed in range(20)}
    assert len(made - {data}) > 10
    for rest in (b"", b"x", b"xyz"):
        for seed in range(20):
            mutation(rest, random.Random(seed))


def test_a_result_is_whole_or_not() -> None:
    pixels = media.read(photo(1, 32, 24)).pixels
    data = media.encode(pixels, ".png", recipe=BASE.embedded())
    assert is_whole(data, 32, 24, "adain")
    assert not is_whole(data, 24, 32, "adain")
    assert not is_whole(data, 32, 24, "gatys")
    assert not is_whole(data[:-40], 32, 24, "adain")
    assert not is_whole(media.encode(pixels, ".png"), 32, 24, "adain")


def test_a_tally_knows_its_percentiles() -> None:
    tally = Tally()
    for number in range(100, 0, -1):
        tally.add("a", number)
    tally.add("b", 1000)
    assert [tally.at("a", share) for share in (0.5, 0.99, 1)] == [50, 99, 100]
    assert tally.at("c", 0.5) == 0
    assert tally.seconds()[-1] == 1000


def test_what_happens_to_a_job_is_noted_each_time() -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        columns = "workflow_uuid TEXT, status TEXT, attributes TEXT"
        database.execute(f"CREATE TABLE workflow_status ({columns})")
        database.execute("INSERT INTO workflow_status VALUES ('a', 'ENQUEUED', '{}')")
        for statement in notes():
            database.execute(statement)

        def change(status: str, **attributes: Any) -> None:
            row = (status, json.dumps(attributes))
            database.execute("UPDATE workflow_status SET status = ?, attributes = ?", row)

        change("PENDING")
        change("PENDING", hand="1")
        change("PENDING", hand="1", progress=0.5)
        change("ENQUEUED", hand="1", progress=0.5)
        change("PENDING", hand="2")
        change("PENDING", hand="2", outcome={"done": True})
        change("SUCCESS", hand="2", outcome={"done": True})
        change("SUCCESS", hand="2", outcome={"done": True}, starred=True)
        found = database.execute("SELECT what FROM notes WHERE id = 'a'").fetchall()
    assert [what for (what,) in found] == ["begun", "begun", "outcome", "finished"]


def test_the_page_has_the_table_of_the_results() -> None:
    page = studio.PAGE.read_text(encoding="utf-8")
    assert studio.filled(page, RESULTS) == page, "run: python benchmarks/studio.py --markdown"
