import json
import re
from pathlib import Path
from typing import Any

import pytest

from advisor.audit.dataset.audit import audit_dataset
from advisor.data.dataset import Document
from advisor.data.files import load_dataset
from advisor.errors import DatasetError
from lm.completion import Messages
from lm.errors import ConfigError
from lm.fake import FakeLM
from rag.chunk import Chunking
from rag.made_questions import MadeQuestions, fault_of, find_span, make_questions
from service.contract.settings import QuestionSettings
from service.run.composition.question_making import make_dataset
from service.run.question_run import MADE_FILE
from tests.rag.conftest import HashingEmbedder

NAMES = ("kettle", "toaster", "washer", "fridge", "oven", "iron", "fan", "lamp", "drill", "mixer", "grill", "scale")
DOCUMENTS = [
    Document(
        name,
        f"The {name}",
        f"# Power\n\nThe {name} by Brennik draws {310 + i} watts while it works hard. It is quiet, easy to clean.\n\n"
        f"# Weight\n\nThe {name} by Brennik weighs {520 + i} grams in its box. You can carry it with one hand alone.",
    )
    for i, name in enumerate(NAMES)
]
_FACT = re.compile(r"The (\w+) by Brennik (draws|weighs) (\d+ \w+)")


def writer(prompt: Messages) -> str:
    """A model that asks about the number of a sentence, as a large one would."""
    said = prompt[-1].content
    if "Sentence:" in said:
        found = _FACT.search(said.rpartition("Sentence:")[2])
        if found is None:
            return "Question: Is it easy?\nAnswer: very easy indeed"
        what = "power" if found[2] == "draws" else "weight"
        return f"Question: What {what} has the {found[1]} by Brennik?\nAnswer: {found[3].upper()}."
    if "in other words" in said:
        return said.rpartition("\n\n")[2].replace("What", "Tell me, which").replace("has", "is stated for")
    if "both of these" in said:
        first, second = said.rpartition("\n\n")[2].split("\n")
        return f"{first.rstrip('?')}, and {second[0].lower()}{second[1:]}"
    asked = re.search(r"What (\w+) has the (\w+)", said)
    facts = _FACT.findall(said)
    verb = {"power": "draws", "weight": "weighs"}[asked[1]] if asked else ""
    return next((value for name, does, value in facts if asked and (name, does) == (asked[2], verb)), "I don't know.")


def make(n_facts: int, model: FakeLM | None = None, **options: Any) -> MadeQuestions:
    embedder = HashingEmbedder(n_dimensions=512)
    return make_questions(DOCUMENTS, model or FakeLM(writer), embedder, n_facts=n_facts, **options)


@pytest.fixture(scope="module")
def made() -> MadeQuestions:
    return make(20, unanswerable_share=0.2, joint_share=0.2, chunking=Chunking(48))


def test_every_answer_is_a_span_of_its_passage(made: MadeQuestions) -> None:
    texts = {document.id: document.text for document in DOCUMENTS}
    asked = [one for one in made.questions if one.answers and len(one.passages) == 1]
    assert asked
    assert all(one.answers[0] in texts[name][start:end] for one in asked for name, start, end in one.passages)
    assert all(re.fullmatch(r"\d+ (watts|grams)", one.answers[0]) for one in asked)


def test_questions_are_spread_over_the_documents(made: MadeQuestions) -> None:
    named = {name for one in made.questions for name, _, _ in one.passages}
    assert len(named) == len(DOCUMENTS)
    few = make(6, n_rewordings=0, unanswerable_share=0.0, joint_share=0.0)
    assert len({one.document_ids for one in few.questions}) == len(few.questions)


def test_wordings_of_a_fact_are_of_one_group(made: MadeQuestions) -> None:
    groups = [one.group for one in made.questions if len(one.passages) == 1]
    assert len(groups) > len(set(groups)) > 10
    wordings = {one.question for one in made.questions}
    assert len(wordings) == len(made.questions)


def test_what_is_asked_in_vain_has_no_answer_left_in_any_document(made: MadeQuestions) -> None:
    unanswerable = [one for one in made.questions if not one.answers]
    left = "\n".join(document.text for document in made.documents)
    assert unanswerable
    for one in unanswerable:
        name, word = re.search(r"(power|weight) .*?the (\w+)", one.question).groups()[::-1]
        verb = {"power": "draws", "weight": "weighs"}[word]
        assert f"The {name} by Brennik {verb}" not in left
        assert one.document_ids == ()
    kept = [one for one in made.questions if one.answers]
    assert all(part in left for one in kept for part in re.split(" and |; ", one.answers[0]))


def test_a_joint_question_needs_two_documents(made: MadeQuestions) -> None:
    joint = [one for one in made.questions if len(one.passages) > 1]
    assert joint
    assert all(len(one.document_ids) == 2 and " and " in one.answers[0] for one in joint)


def test_what_is_dropped_is_counted_by_the_reason(made: MadeQuestions) -> None:
    assert made.dropped["the answer is not in the passage"] > 0
    liar = FakeLM(lambda prompt: writer(prompt) if "Sentence:" in prompt[-1].content else "no idea")
    nothing = make(5, liar)
    assert nothing.questions == ()
    assert nothing.dropped["answered otherwise with its passage"] > 0


@pytest.mark.parametrize(
    ("answer", "text", "found"),
    [
        ("two YEARS.", "It lasts two\nyears.", "two\nyears"),
        ('"5 kg"', "It takes 15 kg or 5 kg.", "5 kg"),
        ("5 k", "It takes 5 kg.", None),
        ("two days", "It lasts two years.", None),
        ("နှစ်နှစ်", "အာမခံသည်နှစ်နှစ်ဖြစ်သည်။", "နှစ်နှစ်"),
        (" . ", "It.", None),
    ],
)
def test_a_span_is_found_as_the_text_writes_it(answer: str, text: str, found: str | None) -> None:
    span = find_span(answer, text)
    assert (text[slice(*span)] if span else None) == found


@pytest.mark.parametrize(
    ("question", "fault"),
    [
        ("How long is the warranty of it?", ""),
        ("The warranty is long.", "no question"),
        ("How long?", "too short or too long"),
        ("Is the warranty of it two years?", "the question gives the answer"),
        ("How long is the warranty in this passage?", "it speaks of the text"),
        ("အာမခံသက်တမ်း ဘယ်လောက်ကြာသလဲ", ""),
    ],
)
def test_a_question_is_judged_by_its_words(question: str, fault: str) -> None:
    assert fault_of(question, "two years") == fault


def test_numbers_come_from_what_the_question_is_on() -> None:
    assert fault_of("What power has the Rover 3 vacuum?", "20 watts", "Rover 3 draws 20 watts.") == ""
    assert "a number" in fault_of("What power has the Aria 300 vacuum?", "20 watts", "Rover 3 draws 20 watts.")


def test_a_question_on_another_sentence_of_its_passage_is_dropped() -> None:
    def astray(prompt: Messages) -> str:
        return re.sub(r"What (power|weight) has", "Can you carry it with one hand alone, and what has", writer(prompt))

    assert make(12, FakeLM(astray)).dropped["it is on another sentence"] > 0


def test_documents_become_a_dataset_that_says_who_asked(tmp_path: Path) -> None:
    embedder, out, settings = HashingEmbedder(n_dimensions=512), tmp_path / "out", QuestionSettings(facts=12)
    made = make_dataset(DOCUMENTS, out, FakeLM(writer, name="scripted"), embedder, settings, name="made")
    dataset = load_dataset(out)
    assert {example.made_by for example in dataset.examples} == {"scripted"}
    (told,) = [finding for finding in audit_dataset(dataset) if finding.check == "questions by a model"]
    assert "(scripted)" in told.message
    record = json.loads((out / MADE_FILE).read_text())
    assert (record["n_asked"], record["kinds"]) == (made.n_asked, made.kinds)
    with pytest.raises(DatasetError, match="is not empty"):
        make_dataset(DOCUMENTS, out, FakeLM(writer), embedder, settings, name="made")
    with pytest.raises(DatasetError, match="made no question that could be kept"):
        make_dataset(DOCUMENTS, tmp_path / "none", FakeLM(lambda _: "hm"), embedder, settings, name="made")


def test_documents_too_short_to_ask_about_are_refused() -> None:
    with pytest.raises(ConfigError, match="no passage long enough"):
        make_questions([Document("a", "", "Short.")], FakeLM(writer), HashingEmbedder())
