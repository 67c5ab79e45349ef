"""What is recommended before anything is measured, and how a measurement bears on it: plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Confidence(StrEnum):
    """How far a prior leans; never a probability."""

    HIGH = "high"
    MODERATE = "moderate"
    LOW = "low"
    NONE = "not enough answers"


@dataclass(frozen=True, slots=True)
class PriorReason:
    """Something an answer speaks for.

    Attributes:
        points: For the arm it is listed under; 0 for a caution and where it rules an arm out.
        questions: The questions whose answers it follows from.
        sources: Studies with their arXiv number, or rules of choice.
    """

    text: str
    points: float
    questions: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ArmPrior:
    """One arm before any measurement.

    Attributes:
        points: The sum over its reasons.
        ruled_out: Requirements it cannot meet; such an arm is never recommended, whatever its points.
    """

    arm: str
    points: float
    reasons: tuple[PriorReason, ...]
    ruled_out: tuple[PriorReason, ...] = ()


@dataclass(frozen=True, slots=True)
class PriorRecommendation:
    """What the answers to the questionnaire speak for.

    Attributes:
        arm: The first of the ranking; None without enough answers, or if every arm is ruled out.
        ranking: All arms: those possible by points, then those ruled out. Equal points: the simpler arm first.
        cautions: What to see to whichever arm is chosen.
        unanswered: Open questions, those first that can move most points.
        answers: As they were given.
    """

    arm: str | None
    confidence: Confidence
    headline: str
    ranking: tuple[ArmPrior, ...]
    cautions: tuple[PriorReason, ...]
    unanswered: tuple[str, ...]
    answers: Mapping[str, Any] = field(hash=False)


class PriorOutcome(StrEnum):
    """How a measured comparison bears on a prior."""

    CONFIRMED = "confirmed"
    OVERRULED = "overruled by evidence"
    UNDECIDED = "evidence undecided: the prior stands"
    NO_PRIOR = "no prior"


@dataclass(frozen=True, slots=True)
class PriorCheck:
    """A prior beside the evidence.

    Attributes:
        evidence_arm: The arm the evidence speaks for against the prior's (or for it); None where it is silent.
        explanation: One or two sentences.
    """

    outcome: PriorOutcome
    prior: PriorRecommendation
    evidence_arm: str | None
    explanation: str
