"""What holds for every page."""

import pytest

from tests.service.api.conftest import Api
from tests.ui.conftest import FINISHED, OpenPage, healthy, press, said
from tests.ui.fake_client import AWAY, NO_KEY, FakeClient

PAGES = {
    "start": "Tuning Fork",
    "data": "Data",
    "new_comparison": "New comparison",
    "progress": "Progress",
    "decision": "Decision",
    "evidence": "Evidence",
    "playground": "Playground",
    "compare_runs": "Compare runs",
    "reports": "Reports & CI",
    "models": "Models",
}


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_with_data(open_page: OpenPage, client: FakeClient, name: str) -> None:
    page = open_page(name, client)
    assert [one.value for one in page.title] == [PAGES[name]]
    assert not page.error


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("start", "Run the sample, or bring your own"),
        ("data", "Bundled"),
        ("new_comparison", "What it will take"),
        ("progress", "There is no comparison yet. Start one"),
        ("decision", "Start one, and its result will be here"),
        ("evidence", "Start one, and its result will be here"),
        ("playground", "Start one, and its result will be here"),
        ("compare_runs", "Two finished comparisons are needed"),
        ("reports", "Start one, and its result will be here"),
        ("models", "finished comparisons appear here"),
    ],
)
def test_every_page_says_what_to_do_where_there_is_nothing(
    open_page: OpenPage, empty: Api, name: str, told: str
) -> None:
    page = open_page(name, FakeClient(empty.app))
    assert told in said(page)
    assert not page.error


@pytest.mark.parametrize("name", PAGES)
def test_a_service_that_is_away_is_told_and_tried_again(open_page: OpenPage, client: FakeClient, name: str) -> None:
    client.failure = AWAY
    page = open_page(name, client)
    assert any("tuningfork serve" in one.value for one in page.error)
    client.failure = None
    page = press(page, "Try again")
    assert not page.error


@pytest.mark.parametrize("name", PAGES)
def test_a_visitor_without_a_key_is_asked_for_one(open_page: OpenPage, client: FakeClient, name: str) -> None:
    client.failure = NO_KEY
    page = open_page(name, client)
    assert any("give an API key" in one.value for one in page.error)
    assert "Type an API key into the side bar" in said(page)
    assert any(one.label == "API key" for one in page.text_input)


def test_a_defect_of_a_page_shows_no_traceback(
    open_page: OpenPage, client: FakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret inside")

    client.replies["get_catalogue"] = fail
    with pytest.raises(AssertionError):
        open_page("models", client)
    assert "the page Models failed" in caplog.text


def test_the_choice_of_a_page_can_be_changed_more_than_once(
    open_page: OpenPage, client: FakeClient, populated_versions: list[str]
) -> None:
    page = open_page("data", client, dataset=populated_versions[0])
    for version in (*populated_versions[1:], populated_versions[0]):
        field = next(one for one in page.selectbox if one.label == "Data set")
        healthy(field.set_value(version).run())
        assert page.query_params["dataset"] in (version, [version])
        assert client.asked("get_dataset")[-1].args == (version,)


@pytest.fixture
def populated_versions() -> list[str]:
    return ["appliance-support", "ticket-triage", "claims-to-json"]


def test_an_address_of_something_unknown_says_so(open_page: OpenPage, client: FakeClient) -> None:
    for name in ("decision", "progress"):
        page = open_page(name, client, comparison="nope")
        assert any("nope" in one.value for one in page.error)
    page = open_page("decision", client, comparison=FINISHED)
    assert not page.error
