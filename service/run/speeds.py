"""How long work takes: by a rule of thumb, set right by what an earlier comparison with the same model took."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median

from advisor.arms import ARMS
from advisor.results.comparison import ArmSummary
from lm.weights.embedded_model import EMBEDDED_MODEL

# Seconds a token of the embedded model on two CPU cores with nothing else to do (docs/rest.md has the runs). Writing
# alone is dear: a batch writes 64 answers with one reading of the weights.
_READ_S = 7.6e-4
_WRITTEN_S = 2.5e-3
_WRITTEN_ALONE_S = 2.5e-2
_TRAINED_S = 1.1e-3
_EMBEDDED_S = 3e-4
# A local model of unknown size, against the embedded one; and a hosted model, in seconds a question.
_OTHER_MODEL = 16.0
HOSTED_S = 0.5


@dataclass(frozen=True, slots=True)
class Work:
    """What a question is to a model, in tokens.

    Attributes:
        read: Without what an earlier prompt began with, which is not read again.
        written: Of the answer.
    """

    read: float
    written: float


@dataclass(frozen=True)
class Speeds:
    """What work takes with one model.

    Attributes:
        source: The earlier comparison; "" where there is none.
        arms: Its arms, by kind.
    """

    model: str
    source: str = ""
    arms: Mapping[str, ArmSummary] = field(default_factory=dict)

    def answer_s(self, kind: str, work: Work, *, alone: bool = False) -> tuple[float, bool]:
        """Seconds for one question in a batch or alone, and whether an earlier comparison tells them.

        What an arm took there counts for it; an arm that was not there takes after the others.
        """
        ratios = dict(self._ratios(alone))
        ratio = ratios.get(kind, median(ratios.values()) if ratios else 1.0)
        return ratio * self._rule_s(work, alone), bool(ratios)

    def trained_s(self, tokens: float) -> tuple[float, bool]:
        """Seconds to train on so many tokens, all epochs together."""
        build = next((self.arms[arm.name].build_usage for arm in ARMS if arm.tuned and arm.name in self.arms), None)
        if build and build.input_tokens and build.device_s:
            return tokens * build.device_s / build.input_tokens, True
        return tokens * _TRAINED_S * self._size, False

    def embedded_s(self, tokens: float) -> tuple[float, bool]:
        """Seconds to embed so many tokens."""
        build = self.arms["rag"].build_usage if "rag" in self.arms else None
        if build and build.embedding_tokens:
            return tokens * build.wall_s / build.embedding_tokens, True
        return tokens * _EMBEDDED_S, False

    @property
    def _size(self) -> float:
        return 1.0 if self.model == EMBEDDED_MODEL else _OTHER_MODEL

    def _rule_s(self, work: Work, alone: bool) -> float:
        if self.model.startswith("openai:"):
            return HOSTED_S
        return self._size * (_READ_S * work.read + (_WRITTEN_ALONE_S if alone else _WRITTEN_S) * work.written)

    def _ratios(self, alone: bool) -> Iterator[tuple[str, float]]:
        for kind, arm in self.arms.items():
            usage = arm.usage_per_question
            work = Work(usage.input_tokens - usage.cached_tokens, usage.output_tokens)
            if alone:
                took = arm.latency.p50_s if arm.latency is not None else 0.0
            else:
                took = 1 / arm.throughput_per_s if arm.throughput_per_s > 0 else 0.0
            if took > 0 and kind != "majority" and work.read + work.written > 0:
                yield kind, took / self._rule_s(work, alone)
