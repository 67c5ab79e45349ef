import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.advice.prior import Confidence, PriorRecommendation
from advisor.advice.questionnaire import (
    PRIOR_ARMS,
    Answer,
    Question,
    check_answers,
    load_questionnaire,
    prior,
    read_answers,
    template,
)
from lm.errors import ConfigError

FORM = load_questionnaire()

# The situations of the studies, as answers: each must lead to what the study found.
NEW_EVENTS = {  # Ovadia 2023
    "task": "question-answering", "knowledge": "facts", "rarity": "rare", "change_rate": "weekly",
    "labelled_examples": 900, "documents": 5000,
}  # fmt: skip
LONG_TAIL = {"knowledge": "facts", "rarity": "rare", "change_rate": "yearly", "labelled_examples": 5000}  # Soudani 2024
API_CALLS = {  # RAFT 2024, Torch Hub and TensorFlow Hub
    "task": "extraction", "knowledge": "form", "benefits": ["format"], "change_rate": "yearly",
    "labelled_examples": 10_000, "data_quality": "good",
}  # fmt: skip
PUBMED = {  # RAFT 2024: passages are found and misread
    "task": "question-answering", "knowledge": "both", "tried_rag": "ignored-passages",
    "labelled_examples": 10_000, "documents": 10_000,
}  # fmt: skip
NARROW_LABELS = {"task": "classification", "knowledge": "form", "labelled_examples": 8000}  # LoRA Land 2024


def recommended(raw: dict[str, object]) -> PriorRecommendation:
    return prior(check_answers(raw))


def points(recommendation: PriorRecommendation) -> dict[str, float]:
    return {one.arm: one.points for one in recommendation.ranking}


@pytest.mark.parametrize(
    ("situation", "arm"),
    [
        (NEW_EVENTS, "rag"),
        (LONG_TAIL, "rag"),
        (API_CALLS, "fine-tuned"),
        (PUBMED, "raft"),
        (NARROW_LABELS, "fine-tuned"),
        ({"knowledge": "form", "labelled_examples": 20}, "few-shot"),
        ({"knowledge": "facts", "labelled_examples": 300, "repetition": "most"}, "nearest-question"),
        (NARROW_LABELS | {"tunable": "no"}, "classifier"),
        (
            {"knowledge": "form", "labelled_examples": 80, "tried_few_shot": "close", "repetition": "some"},
            "nearest-few-shot",
        ),
        (NARROW_LABELS | {"tried_few_shot": "good-enough"}, "few-shot"),
        (NARROW_LABELS | {"tried_prompting": "good-enough"}, "base"),
        (NARROW_LABELS | {"data_quality": "poor", "labelled_examples": 100}, "few-shot"),
    ],
)
def test_the_situation_of_a_study_leads_to_what_it_found(situation: dict[str, object], arm: str) -> None:
    assert recommended(situation).arm == arm


def test_the_plain_combination_is_never_put_above_one_trained_on_passages_where_passages_are_ignored() -> None:
    ranked = points(recommended(PUBMED))
    assert ranked["raft"] > ranked["hybrid"] > ranked["fine-tuned"]


def test_points_are_the_sum_of_the_reasons_shown() -> None:
    for one in recommended(NEW_EVENTS | {"must_abstain": True, "skills": "nobody"}).ranking:
        assert one.points == sum(reason.points for reason in one.reasons)
        assert all(reason.sources and reason.questions for reason in one.reasons)


def test_every_study_cited_has_its_arxiv_number() -> None:
    studies = [cite for name, cite in FORM.sources.items() if not name.startswith("rule-")]
    assert len(studies) == 9
    assert all(re.search(r"arXiv \d{4}\.\d{5}$", cite) for cite in studies)


def test_every_rule_speaks_of_questions_arms_options_and_sources_that_exist() -> None:
    numbers = {question.id for question in FORM.questions if question.kind == "number"} | set(FORM.products)
    options = {question.id: {option.id for option in question.options} for question in FORM.questions}
    conditions = [c for rule in FORM.rules for c in rule.when] + [c for x in FORM.contradictions for c in x.when]
    for condition in conditions:
        if condition.question in numbers:
            assert not condition.one_of
        else:
            assert set(condition.one_of) <= options[condition.question]
            assert condition.one_of
    for rule in FORM.rules:
        assert {*rule.points, *rule.excludes} <= set(PRIOR_ARMS)
        assert rule.sources
        assert set(rule.sources) <= set(FORM.sources)
    assert {name for pair in FORM.products.values() for name in pair} <= numbers
    assert set(FORM.findings) == {source for rule in FORM.rules for source in rule.sources}


def test_every_question_has_a_reason_and_bears_on_the_recommendation() -> None:
    used = {name for rule in FORM.rules for c in rule.when for name in FORM.products.get(c.question, (c.question,))}
    for question in FORM.questions:
        assert question.why
        assert question.id in used
    assert len({question.id for question in FORM.questions}) == len(FORM.questions)


def test_without_essential_answers_nothing_is_recommended_and_they_are_named() -> None:
    unsure = recommended({"change_rate": "daily"})
    assert (unsure.arm, unsure.confidence) == (None, Confidence.NONE)
    assert "knowledge" in unsure.headline
    assert "labelled_examples" in unsure.headline
    assert set(unsure.unanswered[:2]) == {"knowledge", "labelled_examples"}


def test_no_answer_at_all_leaves_every_arm_at_zero() -> None:
    nothing = prior({})
    assert nothing.arm is None
    assert set(points(nothing).values()) == {0}
    assert len(nothing.unanswered) == len(FORM.questions)


def test_a_requirement_rules_an_arm_out_whatever_its_points() -> None:
    strict = recommended(NARROW_LABELS | {"citations": "required", "documents": 10})
    assert points(strict)["fine-tuned"] == max(points(strict).values())
    assert strict.arm != "fine-tuned"
    assert {one.arm for one in strict.ranking if one.ruled_out} == {
        "base",
        "few-shot",
        "nearest-question",
        "nearest-few-shot",
        "classifier",
        "fine-tuned",
    }
    assert [bool(one.ruled_out) for one in strict.ranking] == [False] * 3 + [True] * 6


def test_the_only_arm_left_is_recommended_as_such() -> None:
    only = recommended({"knowledge": "facts", "labelled_examples": 0, "citations": "required", "documents": 9})
    assert only.arm == "rag"
    assert "rule out every other arm" in only.headline


def test_no_arm_is_recommended_where_requirements_rule_out_all() -> None:
    nothing = recommended({"knowledge": "facts", "labelled_examples": 0, "citations": "required", "tunable": "no"})
    assert nothing.arm == "rag"
    strict = prior({"knowledge": "facts", "labelled_examples": 0.0, "citations": "required", "documents": 0.0})
    assert strict.arm is None
    assert "rule out every arm" in strict.headline


def test_equal_points_go_to_the_simpler_arm_with_low_confidence() -> None:
    few = recommended({"knowledge": "form", "labelled_examples": 100, "tunable": "no", "tried_few_shot": "failed"})
    assert points(few)["base"] > points(few)["rag"]
    assert few.confidence is Confidence.LOW
    assert few.arm == "base"


def test_high_confidence_takes_half_of_the_questions() -> None:
    assert recommended(API_CALLS).confidence is Confidence.MODERATE
    full = API_CALLS | {
        "licence": "allows", "tunable": "own-weights", "hosting": "own-gpu", "skills": "experienced",
        "training_compute": "gpu", "must_abstain": "no", "deletion": "no", "citations": "not-needed",
    }  # fmt: skip
    assert recommended(full).confidence is Confidence.HIGH


def test_products_of_answers_count_and_need_both() -> None:
    busy = NARROW_LABELS | {"monthly_volume": 5_000_000, "context_tokens": 2000}
    assert points(recommended(busy))["fine-tuned"] == points(recommended(NARROW_LABELS))["fine-tuned"] + 2
    alone = NARROW_LABELS | {"monthly_volume": 5_000_000}
    assert points(recommended(alone)) == points(recommended(NARROW_LABELS))


def test_ranges_of_numbers_meet_without_overlap() -> None:
    few, some, enough = (
        [reason.text for one in recommended(NARROW_LABELS | {"labelled_examples": n}).ranking for reason in one.reasons]
        for n in (49, 50, 200)
    )
    lottery = "With fewer than 50 examples tuning is a lottery; show them in the prompt."
    little = "Fewer than 200 examples are little for tuning."
    assert (lottery in few, little in few) == (True, False)
    assert (lottery in some, little in some) == (False, True)
    assert (lottery in enough, little in enough) == (False, False)


def test_a_caution_moves_no_points() -> None:
    cautious = recommended(LONG_TAIL | {"languages": "less-common"})
    assert points(cautious) == points(recommended(LONG_TAIL))
    assert "embedder" in cautious.cautions[0].text


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ({"change_rate": "sometimes"}, "change_rate is 'sometimes'; give one of never, yearly, monthly, weekly, daily"),
        ({"labelled_examples": -1}, "labelled_examples is -1; give a whole number of at least 0 (examples)"),
        ({"labelled_examples": 2.5}, "labelled_examples is 2.5"),
        ({"labelled_examples": "many"}, "labelled_examples is 'many'"),
        ({"labelled_examples": True}, "labelled_examples is True"),
        ({"coverage": 1.2}, "coverage is 1.2; give a number of at least 0 and at most 1"),
        ({"monthly_volume": float("nan")}, "monthly_volume is nan"),
        ({"monthly_volume": float("inf")}, "monthly_volume is inf"),
        ({"benefits": ["quality", "fame"]}, "benefits is 'fame'; give any of quality, cost"),
        ({"task": ["extraction"]}, "task is ['extraction']"),
        ({"deletion": "perhaps"}, "deletion is 'perhaps'; give one of yes, no"),
        ({"change_rat": "daily"}, "there is no question 'change_rat'; did you mean change_rate?"),
        ({"zzz": 1}, "there is no question 'zzz'; the questions are task,"),
        ({"tunable": "own-weights", "licence": "forbids"}, "tunable and licence contradict each other"),
        ({"documents": 0, "citations": "required"}, "documents and citations contradict each other"),
        ({"documents": 0, "tried_rag": "good-enough"}, 'answer tried_rag = "not-tried"'),
        ({"labelled_examples": 0, "coverage": 0.1}, "labelled_examples and coverage contradict"),
        ({"tunable": "own-weights", "hosting": "api"}, "tunable and hosting contradict"),
    ],
)
def test_unfit_and_contradictory_answers_are_refused_by_name(raw: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        check_answers(raw)


def test_all_problems_are_reported_at_once_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "answers.toml"
    path.write_text('# mine\nknowledge = "fact"\n\nchange_rat = "daily"\ndocuments = 0\ncitations = "required"\n')
    with pytest.raises(ConfigError) as caught:
        read_answers(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{path}, line 2: knowledge is 'fact'")
    assert lines[1].startswith(f"{path}, line 4: there is no question")
    assert lines[2].startswith(f"{path}, line 6: documents and citations contradict")


def test_answers_are_read_from_json_too(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"knowledge": "form", "benefits": ["format", "quality"], "deletion": False}))
    assert read_answers(path) == {"knowledge": "form", "benefits": ("quality", "format"), "deletion": "no"}


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.toml", b"knowledge = ", "not readable as TOML"),
        ("a.json", b"{", "not readable as JSON"),
        ("a.json", b"[1]", "answers are given as QUESTION: ANSWER, not as a list"),
        ("a.toml", b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_files_that_hold_no_answers_are_refused_by_name(
    tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint) as caught:
        read_answers(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_refused_with_the_way_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tuningfork advise --template"):
        read_answers(tmp_path / "none.toml")


def test_the_template_is_a_file_of_no_answers_that_asks_everything(tmp_path: Path) -> None:
    path = tmp_path / "template.toml"
    path.write_text(template(), encoding="utf-8")
    assert read_answers(path) == {}
    text = template()
    for question in FORM.questions:
        assert question.ask in text
        assert question.why in text
        assert f"\n{question.id} = " in text


def answers_to(question: Question) -> st.SearchStrategy[Answer]:
    if question.kind == "number":
        if question.whole:
            return st.integers(0, 10**9).map(float)
        return st.floats(0, min(question.maximum, 1e12), allow_nan=False)
    names = [option.id for option in question.options]
    if question.several:
        chosen = st.sets(st.sampled_from(names), min_size=1)
        return chosen.map(lambda some: tuple(name for name in names if name in some))
    return st.sampled_from(names)


ANY_ANSWERS = st.fixed_dictionaries({}, optional={q.id: answers_to(q) for q in FORM.questions})


@settings(max_examples=150, deadline=None)
@given(ANY_ANSWERS)
def test_any_answers_give_a_ranking_that_obeys_its_own_rules(answers: dict[str, Answer]) -> None:
    found = prior(answers)
    assert sorted(one.arm for one in found.ranking) == sorted(PRIOR_ARMS)
    possible = [one for one in found.ranking if not one.ruled_out]
    assert [one.points for one in possible] == sorted((one.points for one in possible), reverse=True)
    if found.arm is not None:
        assert found.arm == possible[0].arm
    assert (found.arm is None) == (found.confidence is Confidence.NONE)
    assert {*found.unanswered, *answers} == {question.id for question in FORM.questions}
    assert prior(dict(reversed(answers.items()))) == found


@settings(max_examples=60, deadline=None)
@given(ANY_ANSWERS)
def test_a_filled_in_template_is_read_back_as_it_was_filled_in(
    tmp_path_factory: pytest.TempPathFactory, answers: dict[str, Answer]
) -> None:
    path = tmp_path_factory.mktemp("filled") / "answers.toml"
    path.write_text(template(answers), encoding="utf-8")
    try:
        read = read_answers(path)
    except ConfigError as error:
        assert "contradict each other" in str(error)
    else:
        assert read == answers
