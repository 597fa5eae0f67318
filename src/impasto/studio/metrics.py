"""What is known of the studio's health: numbers for Prometheus, a line of JSON per request."""

import json
import logging
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from impasto.storage import Storage
from impasto.studio import cards
from impasto.studio.jobs import Jobs
from impasto.studio.problems import refusal
from impasto.studio.security import protect

LOG = logging.getLogger("impasto.studio")

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)
"""Upper ends of what latencies are sorted into."""


class Metrics:
    """The numbers of one web process; those of the queue are the same in all."""

    def __init__(self, jobs: Jobs, storage: Storage) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.registry.register(Queue(jobs, storage))
        self.requests = Counter(
            "impasto_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.latency = Histogram(
            "impasto_request_seconds",
            "Seconds until an answer was complete; event streams are left out.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.uploaded = Counter(
            "impasto_upload_bytes", "Bytes received as uploads.", registry=self.registry
        )
        self.uploads = Counter(
            "impasto_uploads", "Uploads by outcome.", ["outcome"], registry=self.registry
        )
        self.streams = Gauge("impasto_event_streams", "Open event streams.", registry=self.registry)

    def text(self) -> bytes:
        """All numbers, as Prometheus reads them."""
        return generate_latest(self.registry)


class Queue(Collector):
    """What the database and the workers say at the moment when it is asked for."""

    def __init__(self, jobs: Jobs, storage: Storage) -> None:
        self.jobs, self.storage = jobs, storage

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing: to be registered does not take a look into the database."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families, with their values."""
        jobs = GaugeMetricFamily("impasto_jobs", "Jobs by state.", labels=["state"])
        for state, count in self.jobs.counts().items():
            jobs.add_metric([state], count)
        yield jobs
        yield GaugeMetricFamily(
            "impasto_oldest_queued_seconds",
            "Age of the job that has been waiting for longest.",
            value=self.jobs.oldest_queued_seconds(),
        )
        beats = GaugeMetricFamily(
            "impasto_worker_heartbeat_age_seconds",
            "Seconds since a worker gave a sign of life.",
            labels=["worker"],
        )
        for name, age in cards.ages(self.storage).items():
            beats.add_metric([name], age)
        yield beats


class Recorder:
    """Counts, times, logs and protects every answer, and gives one where a mistake was made."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, stream, began = 0, False, time.perf_counter()
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id

        async def noted(message: Message) -> None:
            nonlocal status, stream
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                protect(headers, scope["path"])
                stream = headers.get("content-type", "").startswith("text/event-stream")
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception as error:
            LOG.exception("error", extra={"facts": {"request": request_id}})
            if status:  # too late for an answer: the connection is cut
                raise
            await refusal(error).response(Headers(scope=scope))(scope, receive, noted)
        finally:
            self._note(scope, request_id, status, stream, time.perf_counter() - began)

    def _note(
        self, scope: Scope, request_id: str, status: int, stream: bool, seconds: float
    ) -> None:
        route = _route(scope)
        method = scope["method"] if scope["method"] in METHODS else "other"
        self.metrics.requests.labels(method, route, str(status)).inc()
        if not stream:
            self.metrics.latency.labels(route).observe(seconds)
        facts = {"request": request_id, "method": method, "route": route, "status": status}
        LOG.info("request", extra={"facts": {**facts, "ms": round(1000 * seconds, 1)}})


METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "OPTIONS"})


def _route(scope: Scope) -> str:
    """The route as it is declared: paths themselves hold ids, and ids are secrets."""
    path = getattr(scope.get("route"), "path", None)
    if path is not None:
        prefix = "/v1" if scope["path"].startswith("/v1/") else ""
        return prefix + str(path).removeprefix(prefix)
    return "/static" if scope["path"].startswith("/static/") else "none"


class Lines(logging.Formatter):
    """One line of JSON per record."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, what happened, and its facts; of errors the traceback."""
        facts: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.name != LOG.name:
            facts["logger"] = record.name
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return json.dumps(facts)


def start_log(level: int) -> None:
    """Send what the studio and its server have to say to standard error, as lines of JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    for name, least in (("impasto.studio", level), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(max(level, least))
