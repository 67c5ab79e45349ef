"""How long each stage of a comparison may move nothing before its job is taken for stuck and ended.

Generous: a slow model that moves must never be ended. What a budget bounds is the time between two signs of life,
which a job gives with every block, every training step and every question that is timed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

START = "start"
"""The stage of a job that has told nothing yet."""

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class StageBudget:
    """One stage.

    Attributes:
        seconds: Longest time without a sign of life.
        doing: What it was at, behind "while".
        remedy: What to look at before it is resumed.
    """

    seconds: float
    doing: str
    remedy: str

    def overrun(self) -> str:
        """What to tell whose comparison it was."""
        hours = self.seconds / _HOUR_S
        told = f"{hours:g} h" if hours >= 1 else f"{self.seconds:g} s"
        return f"nothing moved for {told} while {self.doing}, so that its job was ended; {self.remedy}"


_ENDPOINT = "see whether the model, or the endpoint that it is asked at, still answers"

STAGE_BUDGETS: Mapping[str, StageBudget] = {
    START: StageBudget(6 * _HOUR_S, "loading dataset and models", "see whether the models can be downloaded and read"),
    "sweep": StageBudget(24 * _HOUR_S, "choosing settings of retrieval", _ENDPOINT),
    "questions": StageBudget(6 * _HOUR_S, "writing a batch of questions", _ENDPOINT),
    "index": StageBudget(24 * _HOUR_S, "building the index", "take fewer documents, or see whether the disk is slow"),
    "tune": StageBudget(6 * _HOUR_S, "training the adapter", "take a smaller model or fewer validation questions"),
    "answer": StageBudget(6 * _HOUR_S, "answering a block of questions", _ENDPOINT),
    "form": StageBudget(6 * _HOUR_S, "answering a block of validation questions", _ENDPOINT),
    "latency": StageBudget(2 * _HOUR_S, "measuring latency", _ENDPOINT),
    "score": StageBudget(12 * _HOUR_S, "scoring an arm's answers", "see whether the judge still answers"),
    "report": StageBudget(2 * _HOUR_S, "writing the reports", "see whether the disk is full"),
}
"""Training gives a sign with every step; its budget holds for loading and for a pass over the validation questions."""
