import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.stem for path in (ROOT / "ui" / "app_pages").glob("*.py"))
_PICTURE = re.compile(r"!\[(?P<said>[^\]]*)\]\((?P<file>[^)\s]+)\)")


def pictures(name: str) -> dict[Path, str]:
    """What each picture of a document is said to show."""
    folder = (ROOT / name).parent
    found = _PICTURE.finditer((ROOT / name).read_text(encoding="utf-8"))
    return {(folder / one["file"]).resolve().relative_to(ROOT): one["said"] for one in found}


@pytest.mark.parametrize("document", ["README.md", "docs/page.md"])
def test_every_page_is_pictured_in_words_as_well(document: str) -> None:
    assert PAGES
    shown = pictures(document)
    for page in PAGES:
        picture = Path("docs", "screenshots", f"{page}.png")
        assert (ROOT / picture).is_file()
        assert shown.get(picture), f"{document} has no picture of {page} with a text in its place"


def test_links_of_the_pictures_lead_to_headings() -> None:
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / "page.md").read_text(encoding="utf-8"), re.MULTILINE)
    anchors = {re.sub("[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    linked = re.findall(r"\(docs/page\.md#([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert linked
    assert set(linked) <= anchors
