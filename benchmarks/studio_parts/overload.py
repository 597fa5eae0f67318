"""Far more orders than the queue takes: what is too much is refused at once, the rest is done."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
from studio_parts.site import Site, site, until, visitor
from studio_parts.tally import Tally

SENDERS = 64

RECIPE = {"photo": "sample:coffee", "styles": [{"source": "starry-night"}], "method": "adain"}


def run(queue: int = 50, times: int = 10, size: int = 128) -> dict[str, float]:
    """Offer so many times as many jobs as may wait."""
    with site(queue=queue) as place:
        who, tally, over = [visitor() for _ in range(SENDERS)], Tally(), threading.Event()
        prober = threading.Thread(target=probe, args=(place, tally, over))
        prober.start()
        try:
            with ThreadPoolExecutor(SENDERS) as crowd:
                offers = crowd.map(partial(offer, place, tally, who, size), range(queue * times))
                answers = Counter(offers)
            states = until(partial(ended, place, who), "accepted jobs are not done")
        finally:
            over.set()
            prober.join()
        accepted, refused = answers[202], answers[429]
        wrong = queue * times - accepted - refused
        lost = accepted - states["done"]
        return {
            "tested": queue * times,
            "failed": wrong + lost + len(place.errors()),
            "queue": queue,
            "accepted": accepted,
            "refused": refused,
            "lost": lost,
            "refusal_p50_seconds": tally.at("429", 0.5),
            "refusal_p99_seconds": tally.at("429", 0.99),
            "slowest_seconds": tally.at("429", 1),
            "health_p99_seconds": tally.at("health", 0.99),
            "health_slowest_seconds": tally.at("health", 1),
            "server_errors": len(place.errors()),
        }


def offer(place: Site, tally: Tally, who: list[dict[str, str]], size: int, number: int) -> int:
    """Order once.  ->  the status; 0 where there is no answer or no word when to come again"""
    recipe = {**RECIPE, "size": size, "seed": number}
    began = time.perf_counter()
    try:
        answer = place.http.post(
            "/v1/jobs", json={"recipe": recipe}, headers=who[number % len(who)]
        )
    except httpx.TransportError:
        return 0
    tally.add(str(answer.status_code), time.perf_counter() - began)
    told = answer.status_code != 429 or int(answer.headers.get("Retry-After", "0")) > 0
    return answer.status_code if told else 0


def probe(place: Site, tally: Tally, over: threading.Event) -> None:
    """Ask ten times a second whether the server lives, over a connection of its own."""
    with httpx.Client(base_url=place.url, timeout=60) as client:
        while not over.wait(0.1):
            with tally.timed("health"):
                client.get("/healthz").raise_for_status()


def ended(place: Site, who: list[dict[str, str]]) -> Counter[str]:
    """States of all jobs once none is unfinished; nothing before."""
    if place.query("SELECT 1 FROM workflow_status WHERE status IN ('ENQUEUED', 'PENDING') LIMIT 1"):
        return Counter()
    found = [place.http.get("/v1/jobs?limit=200", headers=one).json()["jobs"] for one in who]
    return Counter(job["state"] for jobs in found for job in jobs)
