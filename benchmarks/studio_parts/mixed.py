"""Mixed requests, good and bad, and what they leave behind in memory and open files."""

import random
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
from studio_parts.kills import unfinished
from studio_parts.mutations import MUTATIONS, seeds
from studio_parts.pictures import photo
from studio_parts.site import Site, site, until, visitor
from studio_parts.tally import Tally

VISITORS = 8

MOST_MB = 100.0
"""By which a process may grow."""

MOST_HANDLES = 8
"""By which open files may differ: connections to the database and to visitors come and go."""

STYLES = ({"source": "starry-night"},)

BAD_ORDERS: tuple[Any, ...] = (
    {},
    [],
    {"recipe": {"photo": "../../etc/passwd", "styles": STYLES}},
    {"recipe": {"photo": "sample:coffee", "styles": [{"source": "/etc/passwd"}]}},
    {"recipe": {"photo": "sample:coffee", "styles": STYLES, "size": -1}},
    {"recipe": {"photo": "sample:coffee", "styles": STYLES, "size": 10**9}},
    {"recipe": {"photo": "sample:coffee", "styles": STYLES, "method": "nonsense"}},
    {"recipe": {"photo": "u" + 32 * "0", "styles": STYLES}},
)

NOWHERE = ("/v1/jobs/1", "/v1/jobs/" + 32 * "0", "/v1/uploads/u1", "/v1/styles/x/swatch", "/%00")


@dataclass
class Visitor:
    """Somebody, with what they have in the studio."""

    place: Site
    tally: Tally
    chance: random.Random
    who: Mapping[str, str] = field(default_factory=visitor)
    uploads: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    wrong: int = 0

    def act(self, count: int) -> int:
        """So many requests.  ->  how many were not answered as they should"""
        acts: dict[Callable[[Visitor], None], int] = {
            Visitor.browse: 35,
            Visitor.upload: 12,
            Visitor.order: 10,
            Visitor.look: 15,
            Visitor.blunder: 15,
            Visitor.clear: 13,
        }
        self.wrong = 0
        for act in self.chance.choices(list(acts), list(acts.values()), k=count):
            act(self)
        return self.wrong

    def ask(self, method: str, path: str, good: set[int], **what: Any) -> Any:
        """One request, and what the answer is."""
        try:
            with self.tally.timed("request"):
                answer = self.place.http.request(method, path, headers=self.who, **what)
        except httpx.TransportError as error:
            print(f"{method} {path}: {error!r}", flush=True)
            self.wrong += 1
            return None
        if answer.status_code not in good:
            print(f"{method} {path}: {answer.status_code} {answer.text[:300]}", flush=True)
            self.wrong += 1
        kind = answer.headers.get("content-type", "")
        return answer.json() if kind == "application/json" and answer.content else None

    def browse(self) -> None:
        """What the page shows first."""
        pages = ("/", "/v1/styles", "/v1/methods", "/v1/samples", "/v1/limits", "/healthz")
        more = ("/metrics", "/v1/styles/starry-night/swatch", "/v1/samples/coffee", "/v1/jobs")
        self.ask("GET", self.chance.choice((*pages, *more)), {200})

    def upload(self) -> None:
        """A photo."""
        side = self.chance.choice((64, 200, 600))
        made = self.ask(
            "POST", "/v1/uploads", {201}, content=photo(self.chance.randrange(999), side, side)
        )
        self.uploads += [made["id"]] if made else []

    def order(self) -> None:
        """A small painting; a full queue is a good answer too."""
        name = self.chance.choice([*self.uploads, "sample:coffee"])
        recipe = {"photo": name, "styles": STYLES, "method": "adain", "size": 64}
        made = self.ask("POST", "/v1/jobs", {202, 429}, json={"recipe": recipe})
        self.jobs += [made["id"]] if made else []

    def look(self) -> None:
        """At a job, its result, an upload or an estimate."""
        if not self.jobs or not self.uploads:
            self.ask("POST", "/v1/estimates", {200}, json={"photo": "sample:coffee", "recipe": {}})
            return
        job, upload = self.chance.choice(self.jobs), self.chance.choice(self.uploads)
        path = self.chance.choice(
            (f"jobs/{job}", f"jobs/{job}/result", f"uploads/{upload}/preview")
        )
        self.ask("GET", f"/v1/{path}", {200, 404, 409} if "result" in path else {200})

    def blunder(self) -> None:
        """What is refused: damaged files, impossible orders, things that are not there."""
        refused = {400, 404, 405, 413, 415, 422}
        kind = self.chance.randrange(3)
        if kind == 0:
            data = self.chance.choice(MUTATIONS)(self.chance.choice(seeds()), self.chance)
            made = self.ask("POST", "/v1/uploads", {201, *refused}, content=data)
            self.uploads += [made["id"]] if made and made["kind"] == "picture" else []
        elif kind == 1:
            self.ask("POST", "/v1/jobs", refused, json=self.chance.choice(BAD_ORDERS))
        else:
            self.ask("GET", self.chance.choice(NOWHERE), refused)

    def clear(self) -> None:
        """Delete an upload or a job; jobs that still need the upload fail with a reason."""
        mine = self.chance.choice((self.uploads, self.jobs))
        if mine:
            name = mine.pop(self.chance.randrange(len(mine)))
            kind = "uploads" if mine is self.uploads else "jobs"
            self.ask("DELETE", f"/v1/{kind}/{name}", {204})


def run(requests: int = 2000, warm: int = 400) -> dict[str, float]:
    """So many requests of all kinds, after some to warm up."""
    with site() as place:
        tally = Tally()
        crowd = [Visitor(place, tally, random.Random(seed)) for seed in range(VISITORS)]
        _all(crowd, warm, place)
        memory, handles = measured(place)
        tally = Tally()
        for one in crowd:
            one.tally = tally
        wrong = _all(crowd, requests, place)
        later, open_later = measured(place)
        growth = {kind: later[kind] - memory[kind] for kind in memory}
        more = max(open_later[kind] - handles[kind] for kind in handles)
        return {
            "tested": requests,
            "failed": wrong + sum(mb > MOST_MB for mb in growth.values()) + (more > MOST_HANDLES),
            **{f"{kind}_growth_mb": mb for kind, mb in growth.items()},
            **{f"{kind}_mb": mb for kind, mb in later.items()},
            "handles_growth": more,
            "web_handles": open_later["web"],
            "server_errors": len(place.errors()),
            "p50_seconds": tally.at("request", 0.5),
            "p99_seconds": tally.at("request", 0.99),
            "slowest_seconds": tally.at("request", 1),
        }


def _all(crowd: list[Visitor], count: int, place: Site) -> int:
    with ThreadPoolExecutor(len(crowd)) as threads:
        wrong = sum(threads.map(lambda one: one.act(count // len(crowd)), crowd))
    until(lambda: unfinished(place) == 0, "jobs are unfinished")
    return wrong


def measured(place: Site) -> tuple[dict[str, float], dict[str, int]]:
    """Megabytes and open files by kind of process; of several of a kind all together."""
    family = {kind: place.family(kind) for kind in ("web", "worker", "easel", "decoder")}
    memory = {kind: sum(one.memory_info().rss for one in of) / 1e6 for kind, of in family.items()}
    return memory, {kind: sum(one.num_fds() for one in of) for kind, of in family.items()}
