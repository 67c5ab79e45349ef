"""How long work takes: by a rule of thumb, set right by what an earlier comparison with the same model took."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median

from advisor.arms import ARM_KINDS, ARMS
from advisor.results.comparison import ArmSummary
from lm.weights.embedded_model import EMBEDDED_MODEL

# Seconds a token of the embedded model on two CPU cores with nothing else to do (docs/rest.md has the runs). Writing
# alone is dear: a batch writes 64 answers with one pass through the weights.
_READ_S = 7.6e-4
_WRITTEN_S = 1e-3
_ATTENDED_S = 7.7e-6
"""For each token of its prompt that a written one looks back at."""
_PASS_S = 3.6e-2
_TUNED_PASS = 1.5
"""A pass with an adapter against one without."""
_TRAINED_S = 1.2e-3
_EMBEDDED_S = 3e-4
START_S = 9.0
"""Until the first question: processes start, models are loaded."""
END_S = 4.0
"""Scoring, deciding and writing the report, without a judge."""
CHOSEN_OF_JSON = 0.5
"""Of the tokens of a record held to a schema, the share that the schema does not force."""
# A local model of unknown size, against the embedded one; and a hosted model, in seconds a question.
_OTHER_MODEL = 16.0
HOSTED_S = 0.5


@dataclass(frozen=True, slots=True)
class Work:
    """What a question is to a model, in tokens.

    Attributes:
        read: Without what an earlier prompt began with, which is not read again.
        written: Of the answer.
        prompt: All of it.
        chosen: Those of the answer that a form does not force.
    """

    read: float
    written: float
    prompt: float
    chosen: float


@dataclass(frozen=True)
class Speeds:
    """What work takes with one model.

    Attributes:
        source: The earlier comparison; "" where there is none.
        arms: Its arms, by kind.
        chosen_share: Of the tokens of its answers, those that a form did not force.
    """

    model: str
    source: str = ""
    arms: Mapping[str, ArmSummary] = field(default_factory=dict)
    chosen_share: float = 1.0

    def answer_s(self, kind: str, work: Work, *, alone: bool = False) -> tuple[float, bool]:
        """Seconds for one question in a batch or alone, and whether an earlier comparison tells them.

        What an arm took there counts for it; an arm that was not there takes after the others.
        """
        ratios = dict(self._ratios(alone))
        ratio = ratios.get(kind, median(ratios.values()) if ratios else 1.0)
        return ratio * self._rule_s(kind, work, alone), bool(ratios)

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

    def _rule_s(self, kind: str, work: Work, alone: bool) -> float:
        if self.model.startswith("openai:"):
            return HOSTED_S
        if not alone:
            written_s = work.written * (_WRITTEN_S + _ATTENDED_S * work.prompt)
            return self._size * (_READ_S * work.read + written_s)
        is_tuned = kind in ARM_KINDS and ARM_KINDS[kind].tuned
        pass_s = _PASS_S * (_TUNED_PASS if is_tuned else 1.0)
        # The pass that reads the prompt chooses the first token.
        return self._size * (max(_PASS_S, _READ_S * work.read) + pass_s * max(0.0, work.chosen - 1))

    def _ratios(self, alone: bool) -> Iterator[tuple[str, float]]:
        for kind, arm in self.arms.items():
            usage = arm.usage_per_question
            written = usage.output_tokens
            work = Work(
                usage.input_tokens - usage.cached_tokens, written, usage.input_tokens, self.chosen_share * written
            )
            if alone:
                took = arm.latency.p50_s if arm.latency is not None else 0.0
            else:
                took = 1 / arm.throughput_per_s if arm.throughput_per_s > 0 else 0.0
            if took > 0 and kind != "majority" and work.read + work.written > 0:
                yield kind, took / self._rule_s(kind, work, alone)
