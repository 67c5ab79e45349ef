"""Prompts are worded alike for every arm, drawn from training only, and fit the context."""

from collections import Counter

import pytest

from advisor.data.dataset import DatasetCard, Document, Example, Split, Task, TrainingView
from advisor.data.prompt import (
    ABSTENTION,
    FewShot,
    OracleContext,
    Prompt,
    PromptBuilder,
    QuestionOnly,
    fit_passages,
    passage_text,
    question_turn,
    reference_text,
)
from advisor.errors import EvaluationError
from lm.completion import Message, Role
from lm.fake import FakeLM

INSTRUCTION = "Answer in a few words."
CARD = DatasetCard("n", Task.CLASSIFICATION, "en", "CC0-1.0", ("accuracy",), "d", INSTRUCTION)
MODEL = FakeLM({}, context_tokens=4096)


def train(*answers: str | None, group: str = "") -> tuple[Example, ...]:
    return tuple(
        Example(f"q{i}", f"Message {i}", () if a is None else (a,), (), group or f"g{i}", Split.TRAIN)
        for i, a in enumerate(answers)
    )


def few_shot(examples: tuple[Example, ...], *, n_shots: int = 6, seed: int = 0) -> FewShot:
    return FewShot.from_training(TrainingView(CARD, (), examples, ()), n_shots=n_shots, seed=seed)


def test_the_reference_of_an_unanswerable_question_is_the_abstention() -> None:
    answered, unanswerable = train("refund", None)
    assert (reference_text(answered), reference_text(unanswerable)) == ("refund", ABSTENTION)


def test_the_question_turn_is_instruction_numbered_passages_question() -> None:
    turn = question_turn("Do.", "Why?", ["first", "second"])
    assert turn == Message(Role.USER, "Do.\n\n[1] first\n\n[2] second\n\nQuestion: Why?")
    assert question_turn("", "Why?").content == "Question: Why?"


def test_every_arm_puts_the_question_in_the_same_words() -> None:
    gold = {"Why?": (Document("d", "", "text"),)}
    builders: list[PromptBuilder] = [
        QuestionOnly(INSTRUCTION),
        few_shot(train("refund", "delay")),
        OracleContext(INSTRUCTION, gold),
    ]
    prompts = [builder.build(["Why?"], MODEL, 8)[0] for builder in builders]
    assert prompts[0].messages[0] == question_turn(INSTRUCTION, "Why?")
    assert prompts[1].messages[-1] == question_turn("", "Why?")
    assert prompts[2].messages[0] == question_turn(INSTRUCTION, "Why?", ["text"])
    for prompt in prompts:
        text = "\n\n".join(message.content for message in prompt.messages)
        assert text.count(INSTRUCTION) == 1
        assert text.endswith("Question: Why?")


def test_as_many_first_passages_are_kept_as_fit() -> None:
    passages = ["one two three", "four five six", "seven eight nine"]
    whole = MODEL.count_tokens([question_turn(INSTRUCTION, "Why?", passages)])
    for n_missing, expected in [(0, 3), (1, 2), (4, 2), (5, 1), (9, 0), (100, 0)]:
        model = FakeLM({}, context_tokens=whole + 10 - n_missing)
        assert fit_passages(INSTRUCTION, "Why?", passages, model, 10) == expected
    assert fit_passages(INSTRUCTION, "Why?", [], MODEL, 10) == 0


def test_worked_examples_are_drawn_by_seed_whatever_else_happens() -> None:
    examples = train(*[f"answer {i}" for i in range(30)])
    assert few_shot(examples) == few_shot(examples)
    assert few_shot(examples).shots != few_shot(examples, seed=1).shots


def test_worked_examples_are_spread_over_labels() -> None:
    examples = train(*["common"] * 50, *["rare"] * 2, "single")
    assert Counter(answer for _, answer in few_shot(examples).shots) == {"common": 3, "rare": 2, "single": 1}
    assert len({answer for _, answer in few_shot(examples, n_shots=3).shots}) == 3


def test_a_fact_in_several_wordings_gives_one_worked_example() -> None:
    assert len(few_shot(train("a", "a", "a", group="one")).shots) == 1


@pytest.mark.parametrize(("n_shots", "expected"), [(0, 0), (3, 3), (99, 5)])
def test_no_more_worked_examples_than_asked_for_or_there_are(n_shots: int, expected: int) -> None:
    assert len(few_shot(train(*"abcde"), n_shots=n_shots).shots) == expected


def test_few_shot_without_training_questions_is_refused() -> None:
    with pytest.raises(EvaluationError, match="few-shot needs training questions"):
        few_shot(())


def test_worked_examples_are_turns_of_the_chat_and_only_the_first_carries_the_instruction() -> None:
    builder = FewShot(INSTRUCTION, (("A?", "a"), ("B?", "b")))
    (prompt,) = builder.build(["C?"], MODEL, 8)
    assert prompt.messages == (
        question_turn(INSTRUCTION, "A?"),
        Message(Role.ASSISTANT, "a"),
        question_turn("", "B?"),
        Message(Role.ASSISTANT, "b"),
        question_turn("", "C?"),
    )


def test_the_earliest_worked_examples_go_first_when_the_context_is_short() -> None:
    builder = FewShot(INSTRUCTION, (("A?", "a"), ("B?", "b")))
    (whole,) = builder.build(["C?"], MODEL, 8)
    tight = FakeLM({}, context_tokens=MODEL.count_tokens(whole.messages) + 8)
    assert builder.build(["C?"], tight, 8) == [whole]
    (short,) = builder.build(["C?"], tight, 9)
    assert short.messages == (
        question_turn(INSTRUCTION, "B?"),
        Message(Role.ASSISTANT, "b"),
        question_turn("", "C?"),
    )
    (bare,) = builder.build(["C?"], FakeLM({}, context_tokens=1), 8)
    assert bare.messages == (question_turn(INSTRUCTION, "C?"),)


def test_the_oracle_sees_gold_documents_and_says_which_did_not_fit() -> None:
    documents = (Document("d1", "One", "a b c"), Document("d2", "", "d e f"), Document("d3", "Three", "g"))
    example = Example("q", "Why?", ("a",), ("d2", "d1"), "g", Split.TEST)
    builder = OracleContext.from_examples(INSTRUCTION, [example], documents)
    (prompt,) = builder.build(["Why?"], MODEL, 8)
    assert prompt.messages == (question_turn(INSTRUCTION, "Why?", ["d e f", "One: a b c"]),)
    assert [(chunk.document_id, chunk.used) for chunk in prompt.retrieved] == [("d2", True), ("d1", True)]
    tight = FakeLM({}, context_tokens=MODEL.count_tokens(prompt.messages) + 7)
    (short,) = builder.build(["Why?"], tight, 8)
    assert short.messages == (question_turn(INSTRUCTION, "Why?", ["d e f"]),)
    assert [(chunk.document_id, chunk.used) for chunk in short.retrieved] == [("d2", True), ("d1", False)]


def test_a_question_asked_of_two_facts_has_the_documents_of_both() -> None:
    documents = (Document("d1", "", "one"), Document("d2", "", "two"))
    examples = [
        Example("q1", "Why?", ("a",), ("d1",), "g1", Split.TEST),
        Example("q2", "Why?", ("b",), ("d2", "d1"), "g2", Split.TEST),
    ]
    builder = OracleContext.from_examples(INSTRUCTION, examples, documents)
    assert [d.id for d in builder.gold["Why?"]] == ["d1", "d2"]


def test_a_title_goes_before_its_text() -> None:
    assert (passage_text("Title", "text"), passage_text("", "text")) == ("Title: text", "text")


def test_fingerprints_change_with_whatever_decides_the_prompts() -> None:
    document = Document("d", "t", "x")
    builders: list[PromptBuilder] = [
        QuestionOnly(INSTRUCTION),
        QuestionOnly("Other."),
        FewShot(INSTRUCTION, ()),
        FewShot(INSTRUCTION, (("A?", "a"),)),
        OracleContext(INSTRUCTION, {}),
        OracleContext(INSTRUCTION, {"Why?": (document,)}),
        OracleContext(INSTRUCTION, {"Why?": (Document("d", "t", "y"),)}),
    ]
    assert len({builder.fingerprint for builder in builders}) == len(builders)
    assert QuestionOnly(INSTRUCTION).fingerprint == QuestionOnly(INSTRUCTION).fingerprint


def test_equal_messages_have_equal_hashes_and_roles_count() -> None:
    user, assistant = Message(Role.USER, "é"), Message(Role.ASSISTANT, "é")
    assert Prompt((user,)).hash == Prompt((user,), embedding_tokens=5).hash
    assert Prompt((user,)).hash != Prompt((assistant,)).hash


def test_what_was_said_before_is_in_the_prompt_of_every_arm() -> None:
    said = (Message(Role.USER, "How heavy is oak?"), Message(Role.ASSISTANT, "40 kg"))
    example = Example("q", "And fir?", ("20 kg",), ("d",), "g", Split.TRAIN, history=said)
    document = Document("d", "Fir", "Fir weighs 20 kg.")
    builders: list[PromptBuilder] = [
        QuestionOnly(INSTRUCTION),
        few_shot((example, *train("a"))),
        OracleContext.from_examples(INSTRUCTION, [example], [document]),
    ]
    for builder in builders:
        (prompt,) = builder.build([example.asked], MODEL, 8)
        asked = prompt.messages[-1].content
        assert asked.endswith(
            "Question: And fir?\n\nSaid before in this conversation:\nUser: How heavy is oak?\nAssistant: 40 kg"
        )
    shot = few_shot((example,)).build(["x"], MODEL, 8)[0].messages[0].content
    assert "Said before in this conversation" in shot
