"""A real studio and a real browser; every test is a visitor of its own, and sees no error."""

import base64
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

WIDE, PHONE = (1440, 900), (360, 740)

STARTED = re.compile(r"http://[\d.]+:(\d+)/")

PATIENCE = 90.0


def missing() -> str | None:
    """Why there can be no browser here."""
    if os.environ.get("CI"):
        return "browsers are not started in CI"
    if shutil.which("chromium") is None:
        return "there is no chromium"
    for name in ("playwright", "dbos", "fastapi", "uvicorn", "obstore"):
        if find_spec(name) is None:
            return f"{name} is not installed"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = missing()
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


class Server:
    """``impasto serve``, with its workers, as a user starts it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.log = folder / "log"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "impasto", "serve", "--port", str(self.port)]
        command += ["--data", str(self.folder / "data"), "--workers", "1"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        end = time.monotonic() + PATIENCE
        while not self.answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        """As when the power fails: the web process and all its workers at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Not for longer: while Playwright runs, no other event loop can."""
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


class Visitor:
    """A page of the studio and what one does on it."""

    def __init__(self, context: Any, server: Server) -> None:
        self.server, self.page = server, context.new_page()
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.refused: list[int] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("response", self._answered)
        self.enter()

    def _answered(self, response: Any) -> None:
        if response.status >= 400:
            self.refused.append(response.status)

    def enter(self, view: str = "") -> None:
        self.page.goto(f"{self.server.url}{view}")
        self.page.wait_for_selector("#swatches [data-style]", state="attached")

    def wait(self, condition: str, argument: object = None, seconds: float = PATIENCE) -> None:
        """Until an expression, or a function of the argument, is true.

        Asked from outside: the page's policy forbids what Playwright would do inside it.
        """
        end = time.monotonic() + seconds
        while not self.page.evaluate(condition, argument):
            assert time.monotonic() < end, condition
            self.page.wait_for_timeout(50)

    def until(self, state: str) -> None:
        """The easel is in that state."""
        seconds = PATIENCE * 1000
        self.page.wait_for_selector(f".easel[data-state={state}]", timeout=seconds)

    def sample(self, index: int = 0) -> None:
        """One click."""
        self.page.locator(".sample").nth(index).click()

    def paint(self) -> None:
        """Press Paint, and wait for what comes of it."""
        before = self.current()
        self.page.click("#paint")
        self.changed(before)
        self.until("done")

    def changed(self, before: str | None) -> None:
        """Another job is on the easel."""
        self.wait(CHANGED, before)

    def current(self) -> str | None:
        found: str | None = self.page.evaluate(
            "document.querySelector('.thumb[aria-pressed=true]')?.dataset.job ?? null"
        )
        return found

    def jobs(self) -> list[dict[str, Any]]:
        """As the server tells them, newest first."""
        found: list[dict[str, Any]] = self.page.evaluate(
            "fetch('/v1/jobs').then(a => a.json()).then(a => a.jobs)"
        )
        return found

    def style(self, name: str, **options: Any) -> None:
        self.page.locator(f"#swatches [data-style={name}]").click(**options)

    def hand(self, kind: str, target: str, file: Path) -> None:
        """Drop a file on something (``drop``), or paste it (``paste``)."""
        data = base64.b64encode(file.read_bytes()).decode()
        self.page.evaluate(HAND, [kind, target, file.name, data])

    def picture(self, layer: str) -> tuple[int, str]:
        """Width of a layer of the easel, and its address."""
        found = self.page.evaluate(
            "id => { const i = document.getElementById(id); return [i.naturalWidth, i.src] }", layer
        )
        return int(found[0]), str(found[1])


CHANGED = """id => {
  const thumb = document.querySelector('.thumb[aria-pressed=true]');
  return thumb !== null && thumb.dataset.job !== id
}"""

HAND = """async ([kind, target, name, data]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const type = name.endsWith('.png') ? 'image/png' : 'image/jpeg';
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name, { type }));
  const send = (node, event) => node.dispatchEvent(event);
  const node = document.querySelector(target);
  const about = { bubbles: true, cancelable: true };
  if (kind === 'paste') {
    return send(node, new ClipboardEvent('paste', { ...about, clipboardData: carried }));
  }
  for (const step of ['dragenter', 'dragover', 'drop']) {
    send(node, new DragEvent(step, { ...about, dataTransfer: carried }));
  }
}"""

Visit = Callable[..., Visitor]


@pytest.fixture
def visit(chromium: Any, server: Server) -> Iterator[Visit]:
    """Visitors of the studio; that pages have no errors and ask nobody else is true of all."""
    contexts, visitors = [], []

    def enter(size: tuple[int, int] = WIDE, scheme: str = "light", **options: Any) -> Visitor:
        studio = options.pop("server", server)
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            locale=options.pop("locale", "en-US"),
            **options,
        )
        contexts.append(context)
        visitors.append(Visitor(context, studio))
        return visitors[-1]

    yield enter
    for context in contexts:
        context.close()
    for visitor in visitors:
        assert visitor.errors == []
        own = (visitor.server.url, "blob:", "data:")
        assert [url for url in visitor.asked if not url.startswith(own)] == []


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small photo with a shape of its own."""
    from PIL import Image
    from skimage import data

    file = tmp_path / "my cup.jpg"
    Image.fromarray(data.coffee()).resize((300, 200)).save(file, quality=90)
    return file
