from typing import Any

import pytest

from lm.setting import declared_settings
from service.contract.client import ServiceError
from service.contract.comparison_state import ComparisonState
from service.contract.query_schemas import ModelAnswerView, ModelTrialView
from service.contract.schemas import ComparisonDetail, ComparisonRequest
from service.contract.settings import DeclaredSettings
from tests.ui.conftest import FINISHED, OpenPage, Populated, healthy, press, said
from tests.ui.fake_client import FakeClient
from ui.untrusted import shown


@pytest.fixture
def page(open_page: OpenPage, client: FakeClient, populated: Populated) -> Any:
    return open_page("new_comparison", client, dataset=populated.dataset)


def number(page: Any, label: str) -> Any:
    return next(one for one in page.number_input if one.label == label)


def test_what_is_set_is_what_is_asked(page: Any, client: FakeClient, populated: Populated) -> None:
    client.replies["create_comparison"] = lambda *_, **__: client.real.get_comparison(FINISHED)
    next(one for one in page.text_input if one.label == "Name").set_value("နာမည် 😀")
    next(one for one in page.button_group if one.proto.label == "Arms").set_value(["base", "rag"])
    number(page, "Passages retrieved for a question").set_value(5)
    number(page, "Smallest difference that matters to you").set_value(0.04)
    page = healthy(page.run())
    estimated = client.asked("estimate_comparison")[-1].args[0]
    page = press(page, "Start the comparison")
    call = client.asked("create_comparison")[-1]
    asked: ComparisonRequest = call.args[0]
    assert asked == estimated
    assert (asked.dataset, asked.name, asked.arms) == (populated.dataset, "နာမည် 😀", ("base", "rag"))
    assert (asked.top_k, asked.margin, asked.traffic.queries_per_month) == (5, 0.04, 10_000)
    assert len(call.options["idempotency_key"]) == 32
    assert [one.value for one in page.title] == ["Progress"]


def test_arms_are_those_that_fit_the_task_and_follow_the_dataset(page: Any, client: FakeClient) -> None:
    def arms() -> Any:
        return next(one for one in page.button_group if one.proto.label == "Arms")

    # A dataset of questions to documents.
    assert "nearest-question" in arms().options
    assert "classifier" not in arms().options
    page.selectbox[0].set_value("ticket-triage")
    page = healthy(page.run())
    assert "classifier" in arms().options
    page = healthy(arms().set_value(["base", "classifier"]).run())
    assert client.asked("estimate_comparison")[-1].args[0].arms == ("base", "classifier")
    page.selectbox[0].set_value("appliance-support")
    page = healthy(page.run())
    assert "classifier" not in client.asked("estimate_comparison")[-1].args[0].arms


def test_arms_that_cannot_run_are_not_offered_and_the_reason_is_told(
    open_page: OpenPage, client: FakeClient, populated: Populated
) -> None:
    page = open_page("new_comparison", client, dataset=populated.dataset, model="openai:m")
    arms = next(one for one in page.button_group if one.proto.label == "Arms")
    assert "base" in arms.options and not {"fine-tuned", "hybrid", "raft"} & set(arms.options)
    assert client.asked("estimate_comparison")[-1].args[0].arms == ("base", "few-shot", "rag")
    assert any(
        one.value.startswith("Not offered are fine-tuned, hybrid and raft: ")
        and one.value.endswith("is a hosted model and cannot be tuned here.")
        for one in page.info
    )


def test_what_the_test_set_can_show_is_told(page: Any) -> None:
    assert any("99 test questions can show differences above about" in one.value for one in page.warning)


def test_the_bar_is_asked_for_at_once_and_is_none_by_default(page: Any, client: FakeClient) -> None:
    bars = [one for one in page.number_input if one.label == "From which score would you ship?"]
    assert len(bars) == 1 and bars[0].value is None
    assert "constraints" not in client.asked("estimate_comparison")[-1].args[0].model_fields_set
    bars[0].set_value(0.8)
    next(one for one in page.toggle if one.key == "no_gpu_in_serving").set_value(True)
    healthy(page.run())
    asked = client.asked("estimate_comparison")[-1].args[0].constraints
    assert (asked.good_enough, asked.no_gpu_in_serving) == (0.8, True)


def test_a_model_is_tried_with_one_question(page: Any, client: FakeClient) -> None:
    answer = ModelAnswerView(
        question="Capital?", text="*Paris*", load_s=2.0, answer_s=0.5, input_tokens=20, output_tokens=1
    )
    facts = ModelTrialView(
        model="smollm2", is_ready=True, parameters=135_000_000, n_bytes=90_000_000, tunable=True, message="here"
    )
    client.replies["try_model"] = lambda _, ask=True: facts.model_copy(update={"answer": answer if ask else None})
    page = press(page, "Try it")
    assert any(
        "Paris" in one.value and "20 tokens read, 1 token written" in one.value and "*Paris*" not in one.value
        for one in page.success
    )
    client.replies["try_model"] = ServiceError("Endpoint failed: start it", status=502)
    page = press(page, "Try it")
    assert any("could not be tried" in one.value for one in page.error)


def test_time_tokens_and_money_are_told_before_the_start(page: Any, client: FakeClient) -> None:
    assert [one.label for one in page.metric] == ["Time", "Tokens read and written", "Money"]
    assert not client.asked("create_comparison")


def test_settings_are_those_of_the_address(open_page: OpenPage, client: FakeClient, populated: Populated) -> None:
    estimate = client.real.estimate_comparison(ComparisonRequest(dataset=populated.dataset))
    client.replies["estimate_comparison"] = lambda _: estimate
    told = {
        "model": "hf:some/model",
        "tune_on": "questions+documents",
        "race": "true",
        "constrain": "off",
        "top_k": "5",
        "queries_per_month": "2e6",
    }
    open_page("new_comparison", client, dataset=populated.dataset, **told)
    asked: ComparisonRequest = client.asked("estimate_comparison")[-1].args[0]
    assert (asked.dataset, asked.model) == (populated.dataset, "hf:some/model")
    assert (asked.tune_on, asked.race, asked.top_k) == ("questions+documents", True, 5)
    assert asked.constrain == "off"
    assert asked.traffic.queries_per_month == 2e6
    open_page("new_comparison", client, dataset=populated.dataset, arms="<b>", top_k="9999", seed="x", method="y")
    asked = client.asked("estimate_comparison")[-1].args[0]
    assert (len(asked.arms), asked.seed, asked.method) == (5, 0, "lora")


def test_no_arm_and_settings_that_contradict_are_told(page: Any, client: FakeClient) -> None:
    arms = next(one for one in page.button_group if one.proto.label == "Arms")
    assert "Choose at least one arm." in said(healthy(arms.set_value([]).run()))
    arms = next(one for one in page.button_group if one.proto.label == "Arms")
    arms.set_value(["base"])
    model = next(one for one in page.text_input if one.label == "Model that all arms start from")
    page = healthy(model.set_value("a model with blanks").run())
    assert any(one.value.startswith("model") for one in page.warning)


def test_a_refusal_is_told_and_the_next_try_is_a_new_one(page: Any, client: FakeClient) -> None:
    client.replies["create_comparison"] = ServiceError("Queue full: try again later", status=429)
    page = press(page, "Start the comparison")
    assert any("Queue full" in one.value for one in page.error)
    press(page, "Start the comparison")
    keys = [call.options["idempotency_key"] for call in client.asked("create_comparison")]
    assert len(set(keys)) == 2


def test_a_sample_is_one_click_away(open_page: OpenPage, client: FakeClient) -> None:
    made: ComparisonDetail = client.real.get_comparison(FINISHED)
    assert made.state is ComparisonState.SUCCEEDED
    client.replies["create_comparison"] = lambda *_, **__: made
    page = press(open_page("start", client), "Run the sample comparison")
    assert [one.value for one in page.title] == ["Decision"]
    press(open_page("start", client), "Run the sample comparison")
    (first, second) = (call.options["idempotency_key"] for call in client.asked("create_comparison"))
    assert first == second


def test_answers_to_the_questionnaire_give_advice_and_join_a_comparison(
    open_page: OpenPage, client: FakeClient
) -> None:
    page = open_page("start", client)
    assert "Answer at least one question first." in said(press(page, "What do studies suggest?"))
    questions = {one.id: one for one in client.real.get_questionnaire().questions}
    choice = questions["rarity"].options[0].id
    page.selectbox(key="question rarity").set_value(choice)
    page = press(page, "What do studies suggest?")
    assert client.asked("advise")[-1].args == ({"rarity": choice},)
    assert shown(client.real.advise({"rarity": choice}).headline) in said(page)
    # What is still needed is named as it is asked.
    assert shown(questions["labelled_examples"].ask) in said(page)
    page.switch_page("app_pages/new_comparison.py")
    page = healthy(page.run())
    assert client.asked("estimate_comparison")[-1].args[0].prior == {"rarity": choice}
    box = next(one for one in page.checkbox if one.label.startswith("Set my answers"))
    healthy(box.set_value(False).run())
    assert client.asked("estimate_comparison")[-1].args[0].prior is None


def test_every_setting_has_a_field_and_an_effort_leaves_its_own_open(page: Any, client: FakeClient) -> None:
    fields = [*page.number_input, *page.selectbox, *page.text_input, *page.toggle]
    keys = {one.key for one in fields} | {"dataset", "task", "arms", "prior", "prices"}
    declared = [part for one in declared_settings(DeclaredSettings) for part in (one.inner or (one,))]
    declared = [one for one in declared if not one.setting.is_local]
    assert {one.option.strip("-").replace("-", "_") for one in declared} <= {key for key in keys if key}
    page.selectbox(key="effort").set_value("quick")
    page.number_input(key="lora_r").set_value(8)
    healthy(page.run())
    asked: ComparisonRequest = client.asked("estimate_comparison")[-1].args[0]
    assert asked.model_fields_set == {"dataset", "name", "arms", "effort", "tuning"}
    assert (asked.effort, asked.tuning.r, asked.tuning.patience) == ("quick", 8, 2)


def test_arms_from_outside_are_added_with_their_files(page: Any, client: FakeClient) -> None:
    def add(number: int, kind: str) -> Any:
        added = press(page, "Add an arm")
        return healthy(added.selectbox(key=f"kind {number}").set_value(kind).run())

    page = add(1, "external")
    page.text_input(key="arm name 1").set_value("app")
    page.text_input(key="url 1").set_value("https://app.example/v1")
    page = healthy(page.text_input(key="own model 1").set_value("gpt-5-mini").run())
    page = add(2, "prompt")
    page.file_uploader(key="file 2").set_value(("our prompt.txt", b"Kindly: {question}", "text/plain"))
    page = healthy(page.run())
    page = healthy(add(3, "base").text_input(key="own model 3").set_value("hf:Qwen/Qwen3-0.6B").run())
    asked: ComparisonRequest = client.asked("estimate_comparison")[-1].args[0]
    own = ("app=external:https://app.example/v1@gpt-5-mini", "prompt:our-prompt.txt", "base@hf:Qwen/Qwen3-0.6B")
    assert asked.arms[-3:] == own
    assert asked.files == {"our-prompt.txt": "Kindly: {question}"}
    page = healthy(page.text_input(key="arm name 1").set_value("no name").run())
    assert any("arms has" in one.value for one in page.warning)
    page = healthy(page.button(key="remove arm 1").click().run())
    assert client.asked("estimate_comparison")[-1].args[0].arms[-2:] == own[1:]


def test_a_model_is_picked_from_those_there_are(page: Any, client: FakeClient) -> None:
    picker = page.selectbox(key="picked model")
    assert any(option.startswith("smollm2; comes with Tuning Fork") for option in picker.options)
    assert any(option.startswith("openai:gpt-5-mini; an endpoint") for option in picker.options)
    page = healthy(picker.set_value("openai:gpt-5-mini").run())
    assert page.text_input(key="model").value == "openai:gpt-5-mini"
    assert client.asked("estimate_comparison")[-1].args[0].model == "openai:gpt-5-mini"
