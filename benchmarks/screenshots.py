"""Pictures of every page for the documentation: `python -m benchmarks.screenshots` writes docs/screenshots/.

They show the sample comparison, which is run first; an address of a running page with it makes that unnecessary.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from service.contract.comparison_state import ComparisonState
from service.contract.settings import SAMPLE as SAMPLE_SETTINGS
from tests.e2e.served_page import DESKTOP, PAGES, PHONE, ServedPage, Tab, chromium, open_tab, served_page

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "screenshots"
SAMPLE = {**SAMPLE_SETTINGS, "name": "Ticket triage"}
OTHER = {"dataset": "appliance-support", "name": "Appliance support", "limit": 60, "arms": ["base", "rag"]}
QUESTION = "I was charged twice this month."
_COLOURS = 256
_TALLEST = 1800
_TALLEST_SCROLLED = 6000
_EDGE = 24


@contextmanager
def sample_page(api_url: str | None, url: str | None) -> Iterator[ServedPage]:
    """A page with two finished comparisons."""
    if api_url and url:
        yield ServedPage(api_url, url, Path())
        return
    with tempfile.TemporaryDirectory() as folder, served_page(Path(folder) / "home") as served:
        with served.client() as client:
            for request in (OTHER, SAMPLE):
                done = client.wait_for_comparison(client.create_comparison(request).id, timeout_s=3600)
                print(done.name, done.state, done.headline or done.error)
        yield served


def take(tab: Tab, name: str, *, below: str | None = None) -> int:
    """The page as a picture of few colours, all of it or what stands below a heading; its size in bytes."""
    page = tab.page
    height = int(page.locator("[data-testid=stMain]").evaluate("e => e.scrollHeight"))
    size = page.viewport_size
    assert size is not None
    tallest = _TALLEST if below is None else _TALLEST_SCROLLED
    page.set_viewport_size({"width": size["width"], "height": min(max(height, size["height"]), tallest)})
    # A pointer over a button would give it other colours.
    page.mouse.move(0, 0)
    tab.settle()
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
    if below is not None:
        box = page.get_by_role("heading", name=below, exact=True).bounding_box()
        assert box is not None
        left, top = max(0, int(box["x"]) - _EDGE), int(box["y"]) - _EDGE // 4
        picture = picture.crop((left, top, picture.width - _EDGE, min(picture.height, top + _TALLEST)))
    picture = picture.quantize(_COLOURS)
    file = FOLDER / f"{name}.png"
    picture.save(file, optimize=True)
    page.set_viewport_size(size)
    return file.stat().st_size


def prepare(page: "Page", title: str) -> None:
    """What is worth a look on a page that starts empty."""
    if title == "Playground":
        # As many as stand side by side.
        for arm in set(SAMPLE["arms"]) - {"rag", "fine-tuned", "classifier"}:
            page.get_by_role("button", name=arm, exact=True).click()
        page.get_by_label("Question", exact=True).fill(QUESTION)
        # The first answers wait for the models.
        for _ in range(2):
            page.get_by_role("button", name="Ask").click()
            page.get_by_text(" in the model · ").nth(2).wait_for()
            page.locator("[data-test-script-state=notRunning]").wait_for()
    if title == "Evidence":
        page.get_by_role("combobox", name="Show").first.fill("arms disagree")
        page.keyboard.press("Enter")


def refuse_failures(page: "Page") -> None:
    """No picture of a page that could not reach its service."""
    failed = page.get_by_text("could not be listed").or_(page.get_by_text("Something failed here"))
    assert not failed.count(), page.get_by_role("alert").first.inner_text()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", help="address of a running service; with --page")
    parser.add_argument("--page", help="address of its page")
    given = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sample_page(given.api, given.page) as served, chromium() as browser:
        with served.client() as client:
            finished = client.list_comparisons(state=ComparisonState.SUCCEEDED, dataset=str(SAMPLE["dataset"])).items
            found = max(finished, key=lambda one: len(one.arms)).id
        with open_tab(browser) as tab:
            for title, path in PAGES.items():
                tab.open(served.address(title, found), title)
                prepare(tab.page, title)
                refuse_failures(tab.page)
                print(title, take(tab, path or "start"), "bytes")
            tab.open(served.address("Progress", found), "Progress")
            print("progress-curves", take(tab, "progress-curves", below="Loss while tuning"), "bytes")
        for name, title, size, dark in (
            ("decision-dark", "Decision", DESKTOP, True),
            ("decision-phone", "Decision", PHONE, False),
        ):
            with open_tab(browser, size=size, scheme="dark" if dark else "light") as tab:
                tab.open(served.address(title, found), title)
                refuse_failures(tab.page)
                print(name, take(tab, name), "bytes")


if __name__ == "__main__":
    main()
