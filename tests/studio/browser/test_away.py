"""The server dies in the middle of the work; the page waits for it, and the work goes on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Server


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """A server that may be killed."""
    server = Server(tmp_path)
    yield server
    server.kill()


def test_killed_and_started_again_in_the_middle(visit: Any, own: Server) -> None:
    visitor = visit(server=own)
    page = visitor.page
    visitor.style("udnie")
    page.locator("#methods [data-method=gatys]").click()
    page.locator("#dial-quality input[value=draft]").check(force=True)
    page.select_option("#in-size", "512")
    visitor.sample(0)
    visitor.until("running")
    job = visitor.current()
    own.kill()
    page.wait_for_selector("#connection:not([hidden])", timeout=10000)
    assert "does not answer" in page.locator("#connection").inner_text()
    page.click("#paint")
    page.wait_for_selector(".toast.error", timeout=10000)
    assert visitor.current() == job
    own.start()
    page.wait_for_selector("#connection", state="hidden", timeout=20000)
    visitor.until("done")
    assert visitor.current() == job
    assert [one["state"] for one in visitor.jobs()] == ["done"]
