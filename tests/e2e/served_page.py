"""The page as an operator starts it, in a real browser: `tuningfork serve` and Debian's Chromium."""

import re
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit, urlunsplit

from service.contract.client import ServiceClient
from tests.e2e.server import DEADLINE_S, end_process, start_process

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page, Request

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
TIMEOUT_MS = 120_000
DESKTOP, PHONE = (1280, 900), (390, 844)
PAGES = {
    "Start": "",
    "Data": "data",
    "New comparison": "new_comparison",
    "Progress": "progress",
    "Decision": "decision",
    "Evidence": "evidence",
    "Labels": "labels",
    "Playground": "playground",
    "Compare runs": "compare_runs",
    "Reports & CI": "reports",
    "Models": "models",
}
_FLAGS = (
    *("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


class BrowserMissingError(Exception):
    """There is no Chromium on this machine."""


@dataclass(frozen=True)
class ServedPage:
    """A service and its page.

    Attributes:
        url: Of the page, with the token of its start.
    """

    api_url: str
    url: str
    home: Path

    def client(self) -> ServiceClient:
        return ServiceClient(self.api_url)

    def address(self, title: str, comparison: str | None = None) -> str:
        """Where a page is, for one comparison."""
        parts = urlsplit(self.url)
        query = parts.query + (f"&comparison={comparison}" if comparison else "")
        return urlunsplit((parts.scheme, parts.netloc, f"/{PAGES[title]}", query, ""))


@dataclass
class Tab:
    """A browser tab, with what it did that a page of ours should never do.

    Attributes:
        strangers: Addresses of other hosts that were asked for something.
        dialogs: Texts of windows that scripts opened.
        faults: Exceptions of scripts.
    """

    page: "Page"
    strangers: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def open(self, address: str, title: str) -> "Page":
        """The page of that title, once all of it has been drawn."""
        self.page.goto(address)
        return self.settle(title)

    def settle(self, title: str | None = None) -> "Page":
        """The page once nothing on it is being made any more."""
        if title is not None:
            name = title if title != "Start" else "Tuning Fork"
            self.page.get_by_role("heading", name=name, exact=True, level=1).wait_for()
        self.page.locator("[data-test-script-state=notRunning]").wait_for()
        self.page.locator("[data-testid=stSkeleton], [data-stale=true]").first.wait_for(state="detached")
        return self.page


@contextmanager
def served_page(home: Path, *, environment: Mapping[str, str] | None = None) -> Iterator[ServedPage]:
    """`tuningfork serve` with its page at free ports, gone afterwards."""
    port, page_port = _free_ports(2)
    arguments = ("serve", "--port", str(port), "--ui-port", str(page_port))
    process = start_process(home, *arguments, environment=environment)
    try:
        assert process.stdout is not None
        # Where it dies instead of telling the address, its output ends.
        addresses = (re.search(r"http://\S+\?token=\S+", line) for line in process.stdout)
        address = next((found.group() for found in addresses if found), None)
        assert address is not None, (home.parent / f"{home.name}.stderr").read_text()
        served = ServedPage(f"http://127.0.0.1:{port}", address, home)
        for address in (f"{served.api_url}/readyz", f"http://127.0.0.1:{page_port}/_stcore/health"):
            deadline = time.monotonic() + DEADLINE_S
            while not _answers(address):
                told = (home.parent / f"{home.name}.stderr").read_text()
                assert process.poll() is None, told
                assert time.monotonic() < deadline, told
                time.sleep(0.1)
        yield served
    finally:
        end_process(process)


def _free_ports(n: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [int(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Debian's Chromium without a window.

    Raises:
        BrowserMissingError: it is not installed.
    """
    from playwright.sync_api import sync_playwright

    if not Path(CHROMIUM).exists():
        raise BrowserMissingError(
            "there is no Chromium here; `apt-get install chromium` (or your system's like) adds it"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_tab(
    browser: "Browser", *, size: tuple[int, int] = DESKTOP, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Tab]:
    """A tab of a visitor of its own, who shares no cookies with others."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, locale="en-GB", reduced_motion="reduce"
    )
    context.set_default_timeout(TIMEOUT_MS)
    context.set_default_navigation_timeout(TIMEOUT_MS)
    tab = Tab(context.new_page())

    def on_request(request: "Request") -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss", "ftp") and parts.hostname != "127.0.0.1":
            tab.strangers.append(request.url)

    def on_dialog(dialog: "Dialog") -> None:
        tab.dialogs.append(dialog.message)
        dialog.dismiss()

    tab.page.on("request", on_request)
    tab.page.on("dialog", on_dialog)
    tab.page.on("pageerror", lambda error: tab.faults.append(str(error)))
    try:
        yield tab
    finally:
        context.close()
