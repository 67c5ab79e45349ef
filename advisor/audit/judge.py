"""Whether a judge may be believed: it must not grade its own kin, and must agree with people."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from advisor.audit.check import Check
from advisor.evidence.evidence import MAX_UNSCORED_SHARE
from advisor.results.comparison import AuditFinding, Severity

MIN_KAPPA = 0.6
MIN_LABELS = 30
GOOD_SCORE = 0.5
_FAMILIES = {
    **dict.fromkeys(("ministral", "mixtral", "magistral", "codestral", "devstral", "pixtral"), "mistral"),
    **dict.fromkeys(("chatgpt", "o"), "gpt"),
    **dict.fromkeys(("meta", "codellama"), "llama"),
    **dict.fromkeys(("codegemma", "medgemma"), "gemma"),
    "qwq": "qwen",
}


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """A model as far as kinship goes: its name, and a hash of what decides its answers."""

    name: str
    fingerprint: str

    @property
    def family(self) -> str:
        """The name's first letters, sister names of one maker together: `Qwen/Qwen3-4B` and `qwq-32b` are `qwen`."""
        own_name = self.name.removeprefix("openai:").removeprefix("hf:").split("@")[0].rstrip("/").split("/")[-1]
        letters = re.match(r"[a-z]+", own_name.lower())
        family = letters.group() if letters else own_name.lower()
        return _FAMILIES.get(family, family)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a judge agrees with people on one metric.

    Attributes:
        n: Labelled answers; n_unscored: those the judge could not grade.
        kappa: Cohen's; None where all labels, and all grades, are the same.
    """

    n: int
    n_unscored: int
    kappa: float | None

    @property
    def suffices(self) -> bool:
        """Whether the judge may decide."""
        if self.n - self.n_unscored < MIN_LABELS or self.n_unscored > MAX_UNSCORED_SHARE * self.n:
            return False
        return self.kappa is not None and self.kappa >= MIN_KAPPA


def measure_agreement(labels: Sequence[bool], scores: Sequence[float | None]) -> Agreement:
    """Agreement of a person's labels with a judge's scores in [0, 1]; `GOOD_SCORE` or more is good, None unscored."""
    pairs = [(good, score >= GOOD_SCORE) for good, score in zip(labels, scores, strict=True) if score is not None]
    return Agreement(len(labels), len(labels) - len(pairs), cohen_kappa(pairs))


def cohen_kappa(pairs: Sequence[tuple[bool, bool]]) -> float | None:
    """Agreement beyond chance, 1 for complete; None where chance alone would agree always.

    Source:
        Cohen 1960, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20.
    """
    n = len(pairs)
    if not n:
        return None
    observed = sum(first == second for first, second in pairs) / n
    first, second = sum(first for first, _ in pairs) / n, sum(second for _, second in pairs) / n
    by_chance = first * second + (1 - first) * (1 - second)
    return (observed - by_chance) / (1 - by_chance) if by_chance < 1 else None


def audit_judge(
    judge: ModelIdentity,
    contestants: Sequence[ModelIdentity],
    agreements: Mapping[str, Agreement],
    judged: Sequence[str],
    deciding: str,
) -> list[AuditFinding]:
    """Findings on the judge; they block where a judged metric decides: such scores are reported and decide nothing.

    Args:
        contestants: Base models of the arms.
        agreements: By metric, where people have labelled answers.
        judged: Metrics of this comparison that the judge scores. deciding: the metric of the verdict.
    """
    decides = deciding in judged
    findings = []
    kin = [c for c in contestants if c.fingerprint == judge.fingerprint or c.family == judge.family]
    if kin and judged:
        findings.append(
            AuditFinding(
                Check.JUDGE_FAMILY,
                Severity.BLOCK if decides else Severity.WARN,
                f"The judge {judge.name} is of the same family as {kin[0].name}, which it grades; models favour "
                "answers like their own.",
                f"Take a judge of another family.{_instead(decides)}",
            )
        )
    doubtful = [name for name in judged if name not in agreements or not agreements[name].suffices]
    if doubtful:
        findings.append(
            AuditFinding(
                Check.JUDGE_UNCALIBRATED,
                Severity.BLOCK if decides and deciding in doubtful else Severity.NOTE,
                f"The judge {judge.name} is not shown to agree with people; its scores are reported, not deciding.",
                f"Label {MIN_LABELS} or more answers in human_labels.jsonl (docs/data-format.md); kappa must reach "
                f"{MIN_KAPPA}.{_instead(decides)}",
                tuple(f"{name}: {_told(agreements.get(name))}" for name in doubtful),
            )
        )
    return findings


def _instead(decides: bool) -> str:
    return " Or begin `metrics` in dataset.toml with a metric that needs no judge." if decides else ""


def _told(agreement: Agreement | None) -> str:
    if agreement is None:
        return "no human labels"
    kappa = "none" if agreement.kappa is None else f"{agreement.kappa:.2f}"
    unscored = f", {agreement.n_unscored} of them not graded" if agreement.n_unscored else ""
    return f"kappa {kappa} on {agreement.n} labelled answers{unscored}"
