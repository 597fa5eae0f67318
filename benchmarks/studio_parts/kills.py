"""kill -9 at random instants: web process, worker, easel and decoder in turns, while jobs run.

Jobs are ordered all the time, each with a key, so that an order whose answer was lost with the
web process can be sent again. Triggers in the database note whenever a job is begun, gets an
outcome and is finished. A worker's easel is not killed twice over the same job: that it then
fails, with a reason, is what should happen to a job that kills easels.
"""

import hashlib
import io
import itertools
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
from PIL import Image
from studio_parts.pictures import is_whole, photo
from studio_parts.site import PATIENCE, Site, site, until, visitor

VICTIMS = ("web", "worker", "easel", "decoder")

Headers = Mapping[str, str]

OWN = 100
"""Jobs and uploads of one visitor; 200 uploads are the most that one may have."""

WAITING = 6
"""Jobs that are unfinished at any time."""

SWEPT = 60
"""Seconds after the last kill in which everything should be tidy again."""

UNFINISHED = "status IN ('ENQUEUED', 'DELAYED', 'PENDING')"

PAINTING = """
SELECT workflow_uuid FROM workflow_status JOIN notes ON id = workflow_uuid
WHERE status = 'PENDING' AND what = 'begun' AND notes.rowid > {}"""

SECONDS, MOMENT = 15.0, 2.5
"""Seconds to wait for a painting to begin, and most until the kill after that."""

CHANGED = "json_extract(NEW.attributes, '$.{0}') IS NOT json_extract(OLD.attributes, '$.{0}')"

EVENTS = {
    "begun": ("attributes", CHANGED.format("hand")),
    "outcome": ("attributes", CHANGED.format("outcome")),
    "finished": ("status", "NEW.status = 'SUCCESS' AND OLD.status <> 'SUCCESS'"),
}
"""What is noted of a job: the column, and when a change of it counts."""

PAINTINGS: Sequence[dict[str, Any]] = (
    {"method": "adain", "size": 96},
    {"method": "gatys", "size": 96, "iterations": 30},
    {"method": "johnson", "size": 128},
    {"method": "gatys", "size": 128, "iterations": 30},
)


@dataclass(frozen=True)
class Accepted:
    """A job that the studio has promised to do."""

    id: str
    who: Mapping[str, str]
    seed: int
    painting: Mapping[str, Any]


class Supply(threading.Thread):
    """Orders more as soon as little is left; an order without an answer is sent again."""

    def __init__(self, place: Site, seed: int) -> None:
        super().__init__()
        self.place, self.seed = place, seed
        self.accepted: list[Accepted] = []
        self.refused: Counter[int] = Counter()
        self.over = threading.Event()

    def run(self) -> None:
        for number in itertools.count():
            while not self.over.is_set() and unfinished(self.place) >= WAITING:
                time.sleep(0.2)
            if self.over.is_set():
                return
            if number % OWN == 0:
                who = visitor()
            self._order(who, number % 4, PAINTINGS[number // 4 % len(PAINTINGS)])

    def _order(self, who: Headers, seed: int, painting: Mapping[str, Any]) -> None:
        picture = photo(self.seed + seed)
        upload = self._sent("/v1/uploads", who, content=picture)["id"]
        recipe = {"photo": upload, "styles": [{"source": "starry-night"}], **painting}
        headers = {**who, "Idempotency-Key": secrets.token_hex(8)}
        job = self._sent("/v1/jobs", headers, json={"recipe": recipe})
        self.accepted.append(Accepted(job["id"], who, seed, painting))

    def _sent(self, path: str, headers: Headers, **what: Any) -> Any:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with suppress(httpx.TransportError):
                answer = self.place.http.post(path, headers=headers, **what)
                if answer.is_success:
                    return answer.json()
                self.refused[answer.status_code] += 1
            time.sleep(0.2)
        raise RuntimeError(f"{path} was not answered for {PATIENCE:.0f} s: {self.refused}.")


def notes() -> list[str]:
    """Statements that make SQLite note what happens to jobs, each time that it does."""
    triggers = [
        f"CREATE TRIGGER note_{what} AFTER UPDATE OF {column} ON workflow_status WHEN {when} "
        f"BEGIN INSERT INTO notes VALUES (NEW.workflow_uuid, '{what}'); END"
        for what, (column, when) in EVENTS.items()
    ]
    return ["CREATE TABLE notes (id TEXT, what TEXT)", *triggers]


def unfinished(place: Site) -> int:
    """Jobs that wait or run."""
    found = place.query(f"SELECT count(*) FROM workflow_status WHERE {UNFINISHED}")
    return int(found[0][0])


class Killer:
    """Kills, and remembers whom."""

    def __init__(self, place: Site, seed: int) -> None:
        self.place, self.chance = place, random.Random(seed)
        self.killed: Counter[str] = Counter()
        self.hit: set[str] = set()
        """Jobs over which an easel was killed"""
        self.during = 0
        """Kills in the middle of a painting"""
        self.noted = 0
        """Where the notes ended when the last worker went down"""

    def strike(self, kind: str) -> None:
        """One kill, a moment after a job is being painted."""
        with suppress(RuntimeError):  # so be it
            until(self.painting, "nothing is being painted", SECONDS)
        time.sleep(self.chance.uniform(0, MOMENT))
        until(lambda: self._kill(kind), f"there is no {kind}")
        self.killed[kind] += 1
        if kind == "web":
            self.place.start()

    def _kill(self, kind: str) -> bool:
        painting = self.painting()
        if kind == "easel" and painting & self.hit:
            return False
        if not self.place.kill(kind, self.chance.choice):
            return False
        self.during += bool(painting)
        if kind == "easel":
            self.hit |= painting | self.painting()
        elif kind != "decoder":
            self.noted = self.place.query("SELECT count(*) FROM notes")[0][0]
        return True

    def painting(self) -> set[str]:
        """Jobs that a living worker has begun and not ended."""
        return {row[0] for row in self.place.query(PAINTING.format(self.noted))}


def run(kills: int = 200, seed: int = 1) -> dict[str, float]:
    """Kill so many processes, let the rest be painted, and count what became of all jobs."""
    with site(own=100) as place:
        for statement in notes():
            place.query(statement)
        supply, killer = Supply(place, seed), Killer(place, seed)
        supply.start()
        began = time.monotonic()
        for kind in itertools.islice(itertools.cycle(VICTIMS), kills):
            killer.strike(kind)
            print(killer.killed.total(), kind, len(supply.accepted), "jobs", flush=True)
        supply.over.set()
        supply.join()
        seconds = time.monotonic() - began
        until(lambda: place.answers("/healthz") and unfinished(place) == 0, "jobs are unfinished")
        while (place.left_over() or place.strays()) and time.monotonic() < began + seconds + SWEPT:
            time.sleep(1)
        figures = judged(place, supply)
        counts = {f"{kind}_killed": killer.killed[kind] for kind in VICTIMS}
        return {"tested": kills, "during": killer.during, **counts, **figures}


def judged(place: Site, supply: Supply) -> dict[str, float]:
    """What became of the jobs, as the database and the interface tell it."""
    noted = Counter(place.query("SELECT id, what FROM notes"))
    rows = place.query("SELECT count(*) FROM workflow_status")[0][0]
    ids = {job.id for job in supply.accepted}
    ends, pictures = Counter[str](), dict[tuple[Any, ...], set[str]]()
    for job in supply.accepted:
        data = _result(place, job)
        size, method = job.painting["size"], job.painting["method"]
        if data is None:
            ends["lost"] += 1
        elif not is_whole(data, size, size * 3 // 4, method):
            ends["corrupt"] += 1
        else:
            what = (job.seed, *job.painting.values())
            pictures.setdefault(what, set()).add(_pixels(data))
    twice = sum(max(noted[id, "outcome"], noted[id, "finished"]) > 1 for id in ids)
    twice += rows - len(ids)
    left = [*place.left_over(), *place.strays()]
    print("\n".join([*left, *place.errors()]))
    return {
        "failed": ends.total() + twice + len(left),
        "jobs": len(ids),
        "lost": ends["lost"],
        "duplicate": twice,
        "corrupt": ends["corrupt"],
        "different": sum(len(found) - 1 for found in pictures.values()),
        "begun_again": sum(noted[id, "begun"] - 1 for id in ids),
        "left_over": len(left),
        "refused": supply.refused.total(),
        "server_errors": len(place.errors()),
    }


def _result(place: Site, job: Accepted) -> bytes | None:
    """The file of a job that is done."""
    view = place.http.get(f"/v1/jobs/{job.id}", headers=job.who).json()
    if view.get("state") != "done":
        print(f"{job}: {view}", flush=True)
        return None
    return place.http.get(f"/v1/jobs/{job.id}/result", headers=job.who).content


def _pixels(data: bytes) -> str:
    picture = Image.open(io.BytesIO(data))
    return hashlib.sha256(picture.tobytes()).hexdigest()
