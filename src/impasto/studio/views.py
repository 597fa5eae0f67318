"""What an owner is shown of a job."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from impasto.studio.database import CANCELLED, RUNNING, WAITING, Row
from impasto.studio.limits import Limits
from impasto.studio.orders import JobView, Order, Outcome, Progress, State

DIED = "The machine that painted it went down too often."


def state(row: Row) -> State:
    """What people call it."""
    if row.status == WAITING:
        return "queued"
    if row.status == RUNNING:
        return "running"
    if row.status == CANCELLED:
        return "cancelled"
    outcome = row.attributes.get("outcome")
    return "done" if row.status == "SUCCESS" and outcome and outcome["done"] else "failed"


def finished(row: Row) -> float | None:
    """When it ended, in seconds since 1970."""
    if row.status == WAITING or row.status == RUNNING:
        return None
    found = row.attributes.get("finished")
    return time.time() - row.idle if found is None else float(found)


def expires(row: Row, limits: Limits) -> float | None:
    """When it will be deleted, in seconds since 1970."""
    end = finished(row)
    return None if end is None else end + limits.ttl_seconds


def view(row: Row, limits: Limits, queue: Sequence[str]) -> JobView:
    """A job for people.

    queue: ids of all jobs that wait, next one first
    """
    attributes, now = row.attributes, state(row)
    order = Order.model_validate(attributes["order"])
    outcome = Outcome.model_validate(attributes.get("outcome") or {})
    base, version = f"/v1/jobs/{row.id}", attributes.get("preview")
    progress = attributes.get("progress") if now == "running" else None
    return JobView(
        id=row.id,
        kind=order.kind,
        state=now,
        recipe=outcome.recipe or order.recipe,
        asked=order.recipe,
        photo=order.photo,
        position=queue.index(row.id) + 1 if row.id in queue else None,
        progress=Progress.model_validate(progress) if progress else None,
        created=iso(attributes["created"]) or "",
        started=iso(attributes.get("started")),
        finished=iso(finished(row)),
        expires=iso(expires(row, limits)),
        starred=attributes["starred"],
        comparison=order.comparison,
        reason=(outcome.reason or DIED) if now == "failed" else None,
        notices=attributes.get("notices") or [],
        seconds=outcome.seconds,
        width=outcome.width,
        height=outcome.height,
        estimate_seconds=order.estimate,
        preview=f"{base}/preview?v={version}" if version else None,
        result=f"{base}/result" if outcome.result else None,
    )


def iso(seconds: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601."""
    if seconds is None:
        return None
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
