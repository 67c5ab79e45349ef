from service.contract.client import ServiceError
from tests.ui.conftest import FINISHED, OpenPage, healthy, press, said
from tests.ui.fake_client import FakeClient


def test_a_label_is_stored_and_the_next_answer_shown(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("labels", client, comparison=FINISHED)
    first = client.real.next_label(FINISHED, voter="nobody")["next"]
    assert first["answer"] in {one.value for one in page.text}
    page = healthy(press(page, "Right"))
    assert "Agreement with the deciding metric: " in said(page)
    healthy(press(page, "Leave out"))
    told = [call.options for call in client.asked("cast_label")]
    assert [one["good"] for one in told] == [True, None]
    assert (told[0]["example_id"], told[0]["answer"]) == (first["example_id"], first["answer"])
    assert (told[1]["example_id"], told[1]["answer"]) != (first["example_id"], first["answer"])


def test_a_label_that_cannot_be_stored_says_so(open_page: OpenPage, client: FakeClient) -> None:
    client.replies["cast_label"] = ServiceError("Busy: ask again", status=503)
    page = press(open_page("labels", client, comparison=FINISHED), "Wrong")
    assert any("The label could not be stored" in one.value for one in page.error)
