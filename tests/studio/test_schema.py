"""Schemathesis: whatever is sent to the interface, it answers as it is described."""

from typing import Any

import pytest
import schemathesis
import schemathesis.specs.openapi.adapter.v2  # else first when there are threads, which import too
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

OWNER = "5" * 32

EXAMPLES = 5

CONFIG: dict[str, Any] = {
    "seed": 7,
    "headers": {"Cookie": f"impasto={OWNER}"},
    "continue-on-failure": True,
    "request-timeout": 20,
    "generation": {"deterministic": True, "max-examples": EXAMPLES, "database": "none"},
    "checks": {
        # That a name is in the gallery, or an upload there, no schema can say.
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "304", "404", "409", "413", "415", "422", "429", "503"]
        },
    },
}


@pytest.mark.slow
def test_answers_are_as_described(site: Any) -> None:
    """Examples, edge cases of every field, random requests, and chains of them."""
    with site.visitor() as visitor:
        raw = visitor.get("/openapi.json").json()
    raw["paths"] = {path: item for path, item in raw["paths"].items() if "/events" not in path}
    schema = schemathesis.openapi.from_dict(raw, config=SchemathesisConfig.from_dict(CONFIG))
    schema.config.update(base_url=site.url)
    found, requests = [], 0
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            requests += len(event.recorder.interactions)
            found += failures(event)
            site.studio.storage.put("workers/test.json", b"{}")  # so that it stays ready
            for job in site.studio.jobs.list(OWNER, 100)[0]:
                site.studio.jobs.delete(OWNER, job.id)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            found.append(repr(event))
    assert not found, "\n".join(found[:20])
    assert requests > 1000
    site.studio.storage.delete_prefix("workers/")


def failures(event: events.ScenarioFinished) -> list[str]:
    recorder = event.recorder
    return [
        f"{check.failure_info.failure}\n  {recorder.cases[case].value.as_curl_command()}"
        for case, checks in recorder.checks.items()
        for check in checks
        if check.status == Status.FAILURE and check.failure_info is not None
    ]
