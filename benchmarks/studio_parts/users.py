"""Many visitors at once; each sends a photo, orders, follows the job and fetches the picture."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
from studio_parts.pictures import is_whole, photo
from studio_parts.site import Site, site, visitor
from studio_parts.tally import Tally

SIZES = (128, 160, 192)

METHODS = ("johnson", "adain")

ENDED = ("done", "failed", "cancelled")

POLLING = 0.5


def run(visitors: int = 64, rounds: int = 3) -> dict[str, float]:
    """So many visitors, each as many times as there are rounds."""
    with site() as place:
        tally = Tally()
        began = time.perf_counter()
        with ThreadPoolExecutor(visitors) as crowd:
            wrong = sum(crowd.map(partial(visit, place, tally, rounds), range(visitors)))
        seconds = time.perf_counter() - began
        jobs, requests = visitors * rounds, tally.seconds("upload", "order", "look", "result")
        return {
            "tested": jobs,
            "failed": wrong,
            "visitors": visitors,
            "jobs_per_second": jobs / seconds,
            "p50_seconds": tally.at("whole", 0.5),
            "p99_seconds": tally.at("whole", 0.99),
            "slowest_seconds": tally.at("whole", 1),
            "requests": len(requests),
            "upload_p99_seconds": tally.at("upload", 0.99),
            "order_p99_seconds": tally.at("order", 0.99),
            "result_p99_seconds": tally.at("result", 0.99),
            "server_errors": len(place.errors()),
        }


def visit(place: Site, tally: Tally, rounds: int, number: int) -> int:
    """One visitor: every other follows events, the rest ask again and again.  ->  what failed"""
    who, wrong = visitor(), 0
    for turn in range(rounds):
        try:
            with tally.timed("whole"):
                wrong += not painted(place, tally, who, 1000 * turn + number)
        except (httpx.HTTPError, ValueError, KeyError) as error:
            print(f"visitor {number}: {error!r}"[:300], flush=True)
            wrong += 1
    return wrong


def painted(place: Site, tally: Tally, who: dict[str, str], seed: int) -> bool:
    """From a photo to a whole picture."""
    chance = random.Random(seed)
    size, method = chance.choice(SIZES), chance.choice(METHODS)
    with tally.timed("upload"):
        answer = place.http.post("/v1/uploads", content=photo(seed, 256, 192), headers=who)
    recipe = {"photo": answer.raise_for_status().json()["id"], "method": method, "size": size}
    order = {"recipe": {**recipe, "styles": [{"source": "starry-night"}]}}
    with tally.timed("order"):
        answer = place.http.post("/v1/jobs", json=order, headers=who)
    path = f"/v1/jobs/{answer.raise_for_status().json()['id']}"
    (followed if seed % 2 else asked)(place, tally, who, path)
    with tally.timed("result"):
        answer = place.http.get(f"{path}/result", headers=who)
    return is_whole(answer.raise_for_status().content, size, size * 3 // 4, method)


def followed(place: Site, tally: Tally, who: dict[str, str], path: str) -> None:
    """Read the events of a job until it has ended."""
    with place.http.stream("GET", f"{path}/events", headers=who, timeout=600) as answer:
        answer.raise_for_status()
        for _ in answer.iter_lines():
            pass


def asked(place: Site, tally: Tally, who: dict[str, str], path: str) -> None:
    """Ask how a job is until it has ended."""
    while True:
        with tally.timed("look"):
            answer = place.http.get(path, headers=who)
        if answer.raise_for_status().json()["state"] in ENDED:
            return
        time.sleep(POLLING)
