"""A pipeline is a model times a prompt builder, and answers in order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from advisor.data.prompt import Prompt, QuestionOnly, RetrievedChunk, question_turn
from advisor.results.answer import BuildUsage, Pipeline
from lm.completion import FinishReason, GenerationConfig, Likelihood, Messages, Usage
from lm.fake import FakeLM
from lm.language_model import LanguageModel

QUESTIONS = ["One?", "Two?", "Three?"]
CHUNK = RetrievedChunk("d#0", "d", "t", "text", 0.5)


@dataclass(frozen=True)
class Retrieving:
    """A prompt builder that spends tokens and time of its own."""

    fingerprint: str = "retrieving"

    def build(self, questions: list[str], model: LanguageModel, max_output_tokens: int) -> list[Prompt]:
        return [Prompt((question_turn("", q),), (CHUNK,), embedding_tokens=7, latency_s=0.25) for q in questions]


def pipeline(**changes: object) -> Pipeline:
    model = FakeLM(lambda prompt: "To " + prompt[-1].content.split()[-1], seconds_per_answer=0.5)
    made = Pipeline("base", model, QuestionOnly("Answer."), GenerationConfig(max_output_tokens=4))
    return replace(made, **changes)  # type: ignore[arg-type]


def test_answers_come_in_the_order_of_the_questions() -> None:
    answers = pipeline().answer(QUESTIONS)
    assert [answer.text for answer in answers] == ["To One?", "To Two?", "To Three?"]
    assert len({answer.prompt_hash for answer in answers}) == 3


def test_what_retrieval_spent_is_added_to_what_the_model_spent() -> None:
    (answer, *_) = pipeline(prompt_builder=Retrieving()).answer(QUESTIONS)
    assert answer.usage == Usage(input_tokens=2, output_tokens=2, embedding_tokens=7, latency_s=0.75)
    assert answer.retrieved == (CHUNK,)


def test_an_answer_cut_for_length_says_so() -> None:
    model = FakeLM(lambda prompt: "one two three four five")
    (answer,) = pipeline(model=model).answer(["One?"])
    assert (answer.text, answer.finish_reason) == ("one two three four", FinishReason.LENGTH)


def test_no_question_makes_no_answer() -> None:
    assert pipeline().answer([]) == []


def test_a_stream_gives_the_same_answer_in_pieces() -> None:
    retrieving = pipeline(prompt_builder=Retrieving())
    pieces, stream = [], retrieving.stream("One?")
    with pytest.raises(StopIteration) as ended:
        while True:
            pieces.append(next(stream))
    assert pieces == ["To", " One?"]
    assert ended.value.value == retrieving.answer(["One?"])[0]


def test_the_fingerprint_changes_with_model_builder_and_decoding_but_not_with_the_name() -> None:
    changed = [
        pipeline(model=FakeLM({}, name="other")),
        pipeline(prompt_builder=QuestionOnly("Say.")),
        pipeline(generation=GenerationConfig(max_output_tokens=5)),
    ]
    assert len({pipeline().fingerprint, *(one.fingerprint for one in changed)}) == 4
    assert pipeline(arm="renamed", build_usage=BuildUsage(1.0)).fingerprint == pipeline().fingerprint


def test_build_usage_adds_up_and_names_every_device() -> None:
    total = BuildUsage(1.0, 0.5, 10, 20, "cpu") + BuildUsage(2.0, 1.5, 1, 2, "cuda")
    assert total == BuildUsage(3.0, 2.0, 11, 22, "cpu+cuda")
    assert (BuildUsage() + BuildUsage()).device == "cpu"


class Knowing(FakeLM):
    """Holds every word of an answer to be as probable as the prompt is short."""

    def likelihoods(self, prompts: Sequence[Messages], answers: Sequence[str]) -> list[Likelihood | None]:
        return [Likelihood(-float(self.count_tokens(p)), len(a.split())) for p, a in zip(prompts, answers, strict=True)]


def test_references_are_judged_after_the_prompt_that_the_arm_answers() -> None:
    made = pipeline(model=Knowing(lambda prompt: "x"))
    answers = made.with_likelihoods(QUESTIONS, ["a", "b c", "d"], made.answer(QUESTIONS))
    n_words = made.answer(QUESTIONS)[0].usage.input_tokens
    assert [answer.reference for answer in answers] == [Likelihood(-n_words, n) for n in (1, 2, 1)]


def test_a_model_that_tells_no_probabilities_leaves_answers_as_they_are() -> None:
    answers = pipeline().answer(QUESTIONS)
    assert pipeline().with_likelihoods(QUESTIONS, ["a"] * 3, answers) == answers
