"""Malformed uploads: nothing that a stranger sends may hurt, hang, or leave anything behind."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
from studio_parts.mutations import malformed
from studio_parts.site import Site, site, until, visitor
from studio_parts.tally import Tally

SENDERS = 2

LONGEST = 2.0
"""Seconds in which each is to be answered."""


def run(count: int = 1000, seed: int = 1) -> dict[str, float]:
    """Send so many, and count how they are answered."""
    with site() as place:
        who, tally = visitor(), Tally()
        with ThreadPoolExecutor(SENDERS) as senders:
            answers = Counter(senders.map(partial(send, place, who, tally), malformed(count, seed)))
        until(lambda: not place.left_over(), "something is left", 10)
        left = place.left_over() + [
            path.name for path in (place.data / "files/uploads").rglob("*.*")
        ]
        dead = int(place.web.poll() is not None)
        errors = sum(status >= 500 or status < 200 for status in answers.elements())
        slow = sum(seconds > LONGEST for seconds in tally.seconds("upload"))
        return {
            "tested": count,
            "failed": errors + slow + dead + len(left),
            "server_errors": errors,
            "deaths": dead,
            "slower_than_2_s": slow,
            "left_over": len(left),
            "taken": answers[201],
            "refused": count - answers[201] - errors,
            "p50_seconds": tally.at("upload", 0.5),
            "p99_seconds": tally.at("upload", 0.99),
            "slowest_seconds": tally.at("upload", 1),
        }


def send(place: Site, who: dict[str, str], tally: Tally, data: bytes) -> int:
    """The status of the answer, 0 where there was none; what was taken is deleted again."""
    try:
        with tally.timed("upload"):
            answer = place.http.post("/v1/uploads", content=data, headers=who)
        if answer.status_code == 201:
            place.http.delete(f"/v1/uploads/{answer.json()['id']}", headers=who).raise_for_status()
    except httpx.TransportError:
        return 0
    return answer.status_code
