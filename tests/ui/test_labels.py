from service.contract.client import ServiceError
from tests.ui.conftest import EARLIER, FINISHED, OpenPage, healthy, press, said
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


def test_of_two_answers_the_better_one_is_stored_and_the_next_pair_shown(
    open_page: OpenPage, client: FakeClient
) -> None:
    # Votes stay, and other tests count those on the comparison that finished last.
    page = open_page("labels", client, comparison=EARLIER)
    healthy(page.button_group[0].set_value("Which of two is better").run())
    first = client.real.next_pair(EARLIER, voter="nobody")["next"]
    assert {first["first"], first["second"]} <= {one.value for one in page.text}
    page = healthy(press(page, "B is better"))
    healthy(press(page, "Neither"))
    told = [call.options for call in client.asked("cast_pair")]
    assert [one["better"] for one in told] == [first["second"], None]
    assert told[0]["example_id"] == first["example_id"] != told[1]["example_id"]


def test_the_labels_given_so_far_decide_or_say_how_many_are_missing(open_page: OpenPage, client: FakeClient) -> None:
    page = press(open_page("labels", client, comparison=FINISHED), "Decide by the labels so far")
    assert any("people must label 30 answers of each arm" in one.value for one in page.error)
