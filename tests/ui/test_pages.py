"""What holds for every page."""

import json

import pytest
import streamlit as st

from service.contract.client import ServiceError
from tests.service.api.conftest import Api
from tests.ui.conftest import EARLIER, FINISHED, OpenPage, healthy, press, said
from tests.ui.fake_client import AWAY, NO_KEY, FakeClient
from ui.connection import page_words

PAGES = {
    "start": "Tuning Fork",
    "data": "Data",
    "new_comparison": "New comparison",
    "progress": "Progress",
    "decision": "Decision",
    "evidence": "Evidence",
    "labels": "Labels",
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
        field = next(one for one in page.selectbox if one.label == "Dataset")
        healthy(field.set_value(version).run())
        assert page.query_params["dataset"] in (version, [version])
        assert client.asked("get_dataset")[-1].args == (version,)


@pytest.mark.parametrize("name", ["decision", "playground", "reports"])
def test_what_was_chosen_is_kept_from_page_to_page(open_page: OpenPage, client: FakeClient, name: str) -> None:
    page = open_page("evidence", client, comparison=EARLIER)
    page.switch_page(f"app_pages/{name}.py")
    page.query_params.clear()
    page = healthy(page.run())
    assert page.query_params["comparison"] in (EARLIER, [EARLIER])
    page.switch_page("app_pages/progress.py")
    assert next(one for one in healthy(page.run()).selectbox if one.label == "Comparison").value == EARLIER


@pytest.fixture
def populated_versions() -> list[str]:
    return ["appliance-support", "ticket-triage", "claims-to-json"]


def test_an_address_of_something_unknown_says_so(open_page: OpenPage, client: FakeClient) -> None:
    for name in ("decision", "progress"):
        page = open_page(name, client, comparison="nope")
        assert any("nope" in one.value for one in page.error)
    page = open_page("decision", client, comparison=FINISHED)
    assert not page.error


@pytest.mark.parametrize("key", ["tf_က", "tf a", "tf_“x”"])
def test_what_cannot_be_a_key_is_told_before_it_is_sent(open_page: OpenPage, client: FakeClient, key: str) -> None:
    page = open_page("models", client)
    n_calls = len(client.calls)
    page = healthy(page.text_input(key="api_key").set_value(key).run())
    assert any("cannot be an API key" in one.value for one in page.error)
    assert len(client.calls) == n_calls
    page = healthy(page.text_input(key="api_key").set_value(" tf_x\t").run())
    assert not page.error


@pytest.mark.parametrize(
    ("name", "told"),
    [
        *((name, "nope") for name in ("data", "new_comparison", "progress", "evidence", "playground", "reports")),
        *(("decision", told) for told in ("nope", "../../etc", "%00", "x" * 3000, "<img src=x>", "က")),
    ],
)
def test_an_address_of_what_is_not_there_leads_to_what_is(
    open_page: OpenPage, client: FakeClient, name: str, told: str
) -> None:
    page = open_page(name, client, **{"dataset" if name in ("data", "new_comparison") else "comparison": told})
    assert len(page.error) == 1
    assert "<img" not in page.error[0].value
    assert [one.label for one in page.page_link] == ["Show what is available"]


@pytest.mark.parametrize("status", [429, 503])
def test_what_passes_can_be_tried_again(open_page: OpenPage, client: FakeClient, status: int) -> None:
    client.failure = ServiceError("Busy: try again", status=status)
    page = open_page("models", client)
    client.failure = None
    assert not press(page, "Try again").error


def test_a_report_that_cannot_be_understood_leads_on(open_page: OpenPage, client: FakeClient) -> None:
    client.replies["get_report"] = lambda *_: json.dumps({"schema_version": "![x](http://e)"}).encode()
    page = open_page("decision", client, comparison=FINISHED)
    assert len(page.error) == 1
    assert "cannot be understood" in page.error[0].value
    assert "start the comparison again" in page.error[0].value
    assert "![x](" not in page.error[0].value
    # A comparison that is done cannot be resumed.
    assert "Resume" not in page.error[0].value


@pytest.mark.parametrize(
    ("name", "method", "rest"),
    [("decision", "decide_again", "What is not known"), ("evidence", "list_questions", "What people prefer")],
)
def test_a_defect_in_a_part_that_runs_by_itself_is_told_in_its_place(
    open_page: OpenPage, client: FakeClient, name: str, method: str, rest: str
) -> None:
    page = open_page(name, client, comparison=FINISHED)
    client.replies[method] = lambda *_, **__: 1 // 0
    st.cache_data.clear()
    page.run()
    assert not page.exception
    assert ["failed here" in one.value for one in page.error] == [True]
    assert rest in [one.value for one in page.header]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            "No such comparison: there is no comparison 'x'; GET /v1/comparisons lists them",
            "No such comparison: there is no comparison 'x'",
        ),
        (
            "create one with the same settings (POST /v1/comparisons, or New comparison in the web UI), which builds"
            " it",
            "create one with the same settings (New comparison in the web UI), which builds it",
        ),
        ("GET /v1/x failed", "GET /v1/x failed"),
    ],
)
def test_pages_name_no_calls_of_the_api(message: str, told: str) -> None:
    assert page_words(message) == told


@pytest.mark.parametrize("name", ["progress", "decision", "reports"])
def test_an_address_of_nothing_is_told_in_the_words_of_the_page(
    open_page: OpenPage, client: FakeClient, name: str
) -> None:
    page = open_page(name, client, comparison="nowhere")
    assert "/v1/" not in said(page)
    assert "Choose another one" in said(page)


def test_a_comparison_is_renamed_and_deleted_where_it_is_listed(open_page: OpenPage, client: FakeClient) -> None:
    done = dict.fromkeys(("rename_comparison", "delete_comparison"), lambda *_: None)
    client.replies |= done
    page = open_page("start", client)
    rename, delete = (
        next(one for one in page.button if one.key == f"{what} {FINISHED}") for what in ("rename", "delete")
    )
    assert rename.disabled
    assert delete.disabled
    next(one for one in page.text_input if one.key == f"name {FINISHED}").set_value("Spring")
    page = healthy(page.run())
    page = healthy(next(one for one in page.button if one.key == f"rename {FINISHED}").click().run())
    assert client.asked("rename_comparison")[0].args == (FINISHED, "Spring")
    page = healthy(next(one for one in page.checkbox if one.key == f"sure {FINISHED}").check().run())
    healthy(next(one for one in page.button if one.key == f"delete {FINISHED}").click().run())
    assert client.asked("delete_comparison")[0].args == (FINISHED,)
