"""The questions to answer before tuning anything, and what the answers speak for.

Questions, rules and their sources are data (`questionnaire.toml`); this file adds points up and does nothing else with
them, so that every recommendation can be checked by hand.
"""

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from advisor.advice.prior import ArmPrior, Confidence, PriorReason, PriorRecommendation
from advisor.data.toml_lines import key_line
from lm.errors import ConfigError

PRIOR_ARMS = (
    "base", "few-shot", "nearest-question", "classifier", "nearest-few-shot", "rag", "fine-tuned", "hybrid", "raft",
)  # fmt: skip
"""From simple to elaborate; of arms with equal points the simpler one comes first."""

Answer = str | float | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Option:
    """One allowed answer."""

    id: str
    label: str


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        kind: "choice" of the options, "yes-no", or a "number" of at least 0.
        several: More than one option may be chosen.
        essential: Without an answer there is no recommendation.
        whole: Only whole numbers.
    """

    id: str
    section: str
    ask: str
    why: str
    kind: str = "choice"
    options: tuple[Option, ...] = ()
    several: bool = False
    essential: bool = False
    whole: bool = False
    maximum: float = math.inf
    unit: str = ""

    def expects(self) -> str:
        """What may be answered, for messages and templates."""
        if self.kind == "number":
            what = "a whole number of at least 0" if self.whole else "a number of at least 0"
            limit = f" and at most {self.maximum:g}" if math.isfinite(self.maximum) else ""
            return f"{what}{limit} ({self.unit})"
        names = ", ".join(option.id for option in self.options)
        return f"any of {names}" if self.several else f"one of {names}"


@dataclass(frozen=True, slots=True)
class Condition:
    """What an answer (or a product of answers) must be; not met while unanswered."""

    question: str
    one_of: tuple[str, ...] = ()
    at_least: float = -math.inf
    above: float = -math.inf
    below: float = math.inf

    def holds(self, answers: Mapping[str, Answer]) -> bool:
        """Whether the answers meet it."""
        answer = answers.get(self.question)
        if answer is None:
            return False
        if isinstance(answer, float):
            return self.at_least <= answer < self.below and answer > self.above
        chosen = answer if isinstance(answer, tuple) else (answer,)
        return any(option in self.one_of for option in chosen)


@dataclass(frozen=True, slots=True)
class Rule:
    """What follows if all conditions hold: points for arms, arms that are impossible, or (neither) a caution."""

    when: tuple[Condition, ...]
    because: str
    sources: tuple[str, ...]
    points: Mapping[str, float] = field(default_factory=dict, hash=False)
    excludes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Answers that cannot all be true."""

    when: tuple[Condition, ...]
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class Questionnaire:
    """The questions and what answers speak for.

    Attributes:
        products: Quantities by the two answers they are the product of.
        sources: Citation by id; findings: what each study measured, or rule says, by id.
        leads: Points of lead from which "high" and "moderate" are said.
        high_needs_answered: Share of the questions that "high" takes.
    """

    questions: tuple[Question, ...]
    rules: tuple[Rule, ...]
    contradictions: tuple[Contradiction, ...]
    products: Mapping[str, tuple[str, str]] = field(hash=False)
    sources: Mapping[str, str] = field(hash=False)
    findings: Mapping[str, str] = field(hash=False)
    leads: Mapping[str, float] = field(hash=False)
    high_needs_answered: float

    def question(self, name: str) -> Question:
        """The question of that id.

        Raises:
            KeyError: there is none.
        """
        for question in self.questions:
            if question.id == name:
                return question
        raise KeyError(name)


@cache
def load_questionnaire() -> Questionnaire:
    """The questionnaire that ships."""
    raw = tomllib.loads((resources.files("advisor.advice") / "questionnaire.toml").read_text(encoding="utf-8"))
    leads = dict(raw["confidence"])
    return Questionnaire(
        questions=tuple(_question(row) for row in raw["question"]),
        rules=tuple(
            Rule(
                _conditions(row["when"]),
                row["because"],
                tuple(row["sources"]),
                {arm: float(points) for arm, points in row.get("points", {}).items()},
                tuple(row.get("excludes", ())),
            )
            for row in raw["rule"]
        ),
        contradictions=tuple(
            Contradiction(_conditions(row["when"]), row["message"], row["fix"]) for row in raw["contradiction"]
        ),
        products={row["id"]: (row["of"][0], row["of"][1]) for row in raw["product"]},
        sources={row["id"]: row["cite"] for row in raw["source"]},
        findings={row["id"]: row["finding"] for row in raw["source"]},
        high_needs_answered=leads.pop("high_needs_answered"),
        leads=leads,
    )


def _question(row: Mapping[str, Any]) -> Question:
    options = tuple(Option(**option) for option in row.get("options", ()))
    if row.get("kind") == "yes-no":
        options = (Option("yes", "yes"), Option("no", "no"))
    return Question(**{**row, "options": options})


def _conditions(rows: Sequence[Mapping[str, Any]]) -> tuple[Condition, ...]:
    return tuple(
        Condition(one_of=tuple(row.get("is", ())), **{key: value for key, value in row.items() if key != "is"})
        for row in rows
    )


def parse_answer(question: Question, value: object) -> Answer | None:
    """An answer in its plain form, or None where it was left empty.

    Raises:
        ConfigError: not an answer to this question; says which are.
    """
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "" or value == []:
        return None
    if question.kind == "number":
        return _number(question, value)
    if question.kind == "yes-no" and isinstance(value, bool):
        value = "yes" if value else "no"
    given = value if question.several and isinstance(value, list | tuple) else [value]
    known = {option.id for option in question.options}
    for one in given:
        if not isinstance(one, str) or one not in known:
            raise ConfigError(f"{question.id} is {one!r}; give {question.expects()}")
    chosen = tuple(option.id for option in question.options if option.id in given)
    return chosen if question.several else chosen[0]


def _number(question: Question, value: object) -> float:
    if isinstance(value, str):
        try:
            value = float(value.replace(",", "").replace("_", ""))
        except ValueError:
            raise ConfigError(f"{question.id} is {value!r}; give {question.expects()}") from None
    valid = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= question.maximum
    if not valid or not math.isfinite(float(value)) or (question.whole and float(value) % 1):  # type: ignore[arg-type]
        raise ConfigError(f"{question.id} is {value!r}; give {question.expects()}")
    return float(value)  # type: ignore[arg-type]


def contradictions(answers: Mapping[str, Answer]) -> list[Contradiction]:
    """Pairs of answers that cannot both be true."""
    return [c for c in load_questionnaire().contradictions if all(one.holds(answers) for one in c.when)]


def check_answers(raw: Mapping[str, object], source: str = "the answers", text: str = "") -> dict[str, Answer]:
    """Answers by question, empty ones left out.

    Args:
        raw: As read from a file or received as JSON.
        source: Name of the file, for messages.
        text: Content of the file, to name lines.

    Raises:
        ConfigError: unknown questions, answers that are none, contradictions: all of them at once, by line.
    """
    form = load_questionnaire()
    known = [question.id for question in form.questions]
    problems: list[str] = []
    answers: dict[str, Answer] = {}
    for key, value in raw.items():
        where = _where(source, text, key)
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"the questions are {', '.join(known)}"
            problems.append(f"{where}: there is no question {key!r}; {hint}")
            continue
        try:
            answer = parse_answer(form.question(key), value)
        except ConfigError as error:
            problems.append(f"{where}: {error}")
        else:
            if answer is not None:
                answers[key] = answer
    for found in contradictions(answers):
        where = _where(source, text, found.when[-1].question)
        between = " and ".join(condition.question for condition in found.when)
        problems.append(f"{where}: {between} contradict each other: {found.message}; {found.fix}")
    if problems:
        raise ConfigError("\n".join(problems))
    return answers


def _where(source: str, text: str, key: str) -> str:
    line = key_line(text, key) if text else None
    return f"{source}, line {line}" if line else source


def read_answers(path: Path) -> dict[str, Answer]:
    """Answers from a TOML or (by its ending) JSON file.

    Raises:
        ConfigError: no such file, unreadable, or its answers are unfit.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no such file of answers; `tuningfork advise --template` prints one to fill in"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the answers cannot be read: {error}") from None
    try:
        raw = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "JSON" if path.suffix.lower() == ".json" else "TOML"
        raise ConfigError(f"{path}: not readable as {kind}: {error}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: answers are given as QUESTION: ANSWER, not as a {type(raw).__name__}")
    return check_answers(raw, str(path), text)


def template(answers: Mapping[str, Answer] | None = None) -> str:
    """A TOML file of all questions, to be filled in; `read_answers` reads it, filled in or not."""
    given = answers or {}
    parts = ["# Answer what you can and leave the rest as it is. Then: tuningfork advise --answers THIS_FILE"]
    section = ""
    for question in load_questionnaire().questions:
        if question.section != section:
            section = question.section
            parts.append(f"# ---- {section}")
        labels = [f"#   {o.id}: {o.label}" for o in question.options if question.kind != "yes-no"]
        lines = [f"# {question.ask}", f"# Why: {question.why}", *labels]
        if not labels:
            lines.append(f"#   {question.expects()}")
        parts.append("\n".join([*lines, f"{question.id} = {_toml_value(question, given.get(question.id))}"]))
    return "\n\n".join(parts) + "\n"


def _toml_value(question: Question, answer: Answer | None) -> str:
    if answer is None:
        return "[]" if question.several else '""'
    if isinstance(answer, float):
        return str(int(answer)) if answer.is_integer() else repr(answer)
    return json.dumps(list(answer) if isinstance(answer, tuple) else answer)


def prior(answers: Mapping[str, Answer]) -> PriorRecommendation:
    """What the answers speak for: points added up arm by arm, and arms ruled out by requirements.

    Args:
        answers: As `check_answers` returns them; any may be missing.
    """
    form = load_questionnaire()
    known = dict(answers)
    for name, (first, second) in form.products.items():
        one, other = answers.get(first), answers.get(second)
        if isinstance(one, float) and isinstance(other, float):
            known[name] = one * other
    followed = [rule for rule in form.rules if all(condition.holds(known) for condition in rule.when)]
    ranking = sorted(
        (_arm_prior(form, arm, followed) for arm in PRIOR_ARMS),
        key=lambda one: (bool(one.ruled_out), -one.points, PRIOR_ARMS.index(one.arm)),
    )
    cautions = tuple(_reason(form, rule, 0.0) for rule in followed if not rule.points and not rule.excludes)
    arm, confidence, headline = _conclusion(form, answers, ranking)
    given = {name: list(answer) if isinstance(answer, tuple) else answer for name, answer in answers.items()}
    return PriorRecommendation(arm, confidence, headline, tuple(ranking), cautions, _unanswered(form, answers), given)


def _arm_prior(form: Questionnaire, arm: str, followed: Sequence[Rule]) -> ArmPrior:
    speaking = [rule for rule in followed if rule.points.get(arm)]
    reasons = sorted(
        (_reason(form, rule, rule.points[arm]) for rule in speaking), key=lambda reason: -abs(reason.points)
    )
    ruled_out = tuple(_reason(form, rule, 0.0) for rule in followed if arm in rule.excludes)
    return ArmPrior(arm, sum(reason.points for reason in reasons), tuple(reasons), ruled_out)


def _reason(form: Questionnaire, rule: Rule, points: float) -> PriorReason:
    asked: list[str] = []
    for condition in rule.when:
        asked += form.products.get(condition.question, (condition.question,))
    return PriorReason(rule.because, points, tuple(asked), tuple(form.sources[name] for name in rule.sources))


def _conclusion(
    form: Questionnaire, answers: Mapping[str, Answer], ranking: Sequence[ArmPrior]
) -> tuple[str | None, Confidence, str]:
    missing = [question for question in form.questions if question.essential and question.id not in answers]
    if missing:
        wanted = " and ".join(f"“{question.ask}” ({question.id})" for question in missing)
        return None, Confidence.NONE, f"Not enough answers for a recommendation; still needed: {wanted}."
    possible = [one for one in ranking if not one.ruled_out]
    if not possible:
        return None, Confidence.NONE, "Your requirements rule out every arm; the list says which rules out what."
    first = possible[0]
    if len(possible) == 1:
        confidence = Confidence.HIGH
        return first.arm, confidence, f"Start with {first.arm}: your requirements rule out every other arm."
    lead = first.points - possible[1].points
    share = len(answers) / len(form.questions)
    if lead >= form.leads["high"] and share >= form.high_needs_answered:
        confidence = Confidence.HIGH
    else:
        confidence = Confidence.MODERATE if lead >= form.leads["moderate"] else Confidence.LOW
    ahead = f"{lead:g} points ahead of" if lead else "level with"
    return (
        first.arm,
        confidence,
        f"Start with {first.arm} (confidence {confidence}): {ahead} {possible[1].arm}. A measured comparison decides.",
    )


def _unanswered(form: Questionnaire, answers: Mapping[str, Answer]) -> tuple[str, ...]:
    """Open questions, essential ones first, then by the most points one answer to them can move."""
    weight = dict.fromkeys((question.id for question in form.questions), 0.0)
    for rule in form.rules:
        moved = (
            math.inf if rule.excludes else max(rule.points.values(), default=0) - min(rule.points.values(), default=0)
        )
        for condition in rule.when:
            for name in form.products.get(condition.question, (condition.question,)):
                weight[name] = max(weight[name], moved)
    position = {question.id: i for i, question in enumerate(form.questions)}
    open_questions = [question for question in form.questions if question.id not in answers]
    return tuple(
        question.id
        for question in sorted(open_questions, key=lambda q: (not q.essential, -weight[q.id], position[q.id]))
    )
