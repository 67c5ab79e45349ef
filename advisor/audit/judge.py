"""Whether scores of a judge or of people may decide: enough answers of each arm must be labelled by people."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, floor

import numpy as np

from advisor.audit.check import Check
from advisor.evidence.evidence import MAX_UNSCORED_SHARE
from advisor.evidence.prediction_powered import MIN_LABELS
from advisor.results.comparison import AuditFinding, Interval, Severity

MIN_KAPPA = 0.6
GOOD_SCORE = 0.5
N_DRAWS = 10_000
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
        kappa: Cohen's, with its interval; None where all labels, and all grades, are the same.
    """

    n: int
    n_unscored: int
    kappa: Interval | None

    @property
    def suffices(self) -> bool:
        """Whether the judge's scores can be read as people's, as far as people have looked."""
        if self.n - self.n_unscored < MIN_LABELS or self.n_unscored > MAX_UNSCORED_SHARE * self.n:
            return False
        return self.kappa is not None and self.kappa.estimate >= MIN_KAPPA


@dataclass(frozen=True, slots=True)
class LabelNeeds:
    """The labels that a verdict by a judge or by people rests on.

    Attributes:
        metric: The deciding one.
        n_by_arm: Labels of each arm, as `effective_labels` counts them.
        raced: Whether arms were raced: then scores decided block by block, before anyone could correct them.
    """

    metric: str
    n_by_arm: Mapping[str, float]
    raced: bool

    @property
    def missing(self) -> dict[str, int]:
        """Labels that each arm lacks, by name; empty where there are enough."""
        lacks = {arm: ceil(MIN_LABELS - n) for arm, n in self.n_by_arm.items()}
        return {arm: n for arm, n in lacks.items() if n > 0}

    @property
    def suffice(self) -> bool:
        """Whether the verdict may rest on them."""
        return bool(self.n_by_arm) and not self.missing and not self.raced


def measure_agreement(labels: Sequence[bool], scores: Sequence[float | None]) -> Agreement:
    """Agreement of a person's labels with a judge's scores in [0, 1]; `GOOD_SCORE` or more is good, None unscored."""
    pairs = [(good, score >= GOOD_SCORE) for good, score in zip(labels, scores, strict=True) if score is not None]
    return Agreement(len(labels), len(labels) - len(pairs), kappa_interval(pairs))


def kappa_interval(pairs: Sequence[tuple[bool, bool]]) -> Interval | None:
    """Cohen's kappa with its 95 % interval; None where it is not defined.

    Source:
        Jeffreys' prior on the four cells of the table, as Brown, Cai & DasGupta 2001 advise for shares.
    """
    kappa = cohen_kappa(pairs)
    if kappa is None:
        return None
    cells = [sum(pair == cell for pair in pairs) for cell in product((True, False), repeat=2)]
    yes_yes, yes_no, no_yes, no_no = np.random.default_rng(0).dirichlet(np.array(cells) + 0.5, N_DRAWS).T
    first, second = yes_yes + yes_no, yes_yes + no_yes
    by_chance = first * second + (1 - first) * (1 - second)
    low, high = np.quantile((yes_yes + no_no - by_chance) / (1 - by_chance), [0.025, 0.975])
    return Interval(kappa, min(float(low), kappa), max(float(high), kappa), method="Jeffreys")


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
    needs: LabelNeeds | None,
) -> list[AuditFinding]:
    """Findings on the judge, beside those of `audit_labels` where a judged metric decides.

    A judge of the arms' family blocks a verdict by its scores, unless labels of every arm take its favour out.

    Args:
        contestants: Base models of the arms.
        agreements: By metric, where people have labelled answers.
        judged: Metrics of this comparison that the judge scores.
        needs: Of the verdict; None where neither judge nor people decide.
    """
    decides = needs is not None and needs.metric in judged and not needs.suffice
    findings = []
    kin = [c for c in contestants if c.fingerprint == judge.fingerprint or c.family == judge.family]
    if kin and judged:
        findings.append(
            AuditFinding(
                Check.JUDGE_FAMILY,
                Severity.BLOCK if decides else Severity.WARN,
                f"The judge {judge.name} is of the same family as {kin[0].name}, which it grades; models favour "
                "answers like their own.",
                f"Use a judge of another family.{_INSTEAD if decides else ''}",
            )
        )
    doubtful = [name for name in judged if name not in agreements or not agreements[name].suffices]
    if doubtful:
        findings.append(
            AuditFinding(
                Check.JUDGE_UNCALIBRATED,
                Severity.NOTE,
                f"The judge {judge.name} is not shown to agree with people: kappa of {MIN_KAPPA} on {MIN_LABELS} "
                "labelled answers would show it.",
                "Label answers, in the web UI or in human_labels.jsonl (docs/judges.md).",
                tuple(f"{name}: {_told(agreements.get(name))}" for name in doubtful),
            )
        )
    return findings


def audit_labels(needs: LabelNeeds) -> list[AuditFinding]:
    """What a verdict by a judge or by people rests on; too few labels of any arm block it."""
    items = tuple(
        f"{arm}: {floor(n)} labels{f', {needs.missing[arm]} more needed' if arm in needs.missing else ''}"
        for arm, n in sorted(needs.n_by_arm.items())
    )
    if needs.suffice:
        message = f"The scores by {needs.metric} are corrected by people's labels of every arm."
        remedy = "More labels make the intervals shorter (docs/judges.md)."
        return [AuditFinding(Check.HUMAN_LABELS, Severity.NOTE, message, remedy, items)]
    if needs.raced:
        message = f"A race decides while answers come in, before people's labels can correct scores by {needs.metric}."
        remedy = f"Compare without --race.{_INSTEAD}"
    else:
        message = (
            f"Scores by {needs.metric} decide nothing yet: people must label {MIN_LABELS} answers of each arm, drawn "
            "at random and spread over the slices like the traffic."
        )
        remedy = f"Label answers, in the web UI or in human_labels.jsonl (docs/judges.md).{_INSTEAD}"
    return [AuditFinding(Check.HUMAN_LABELS, Severity.BLOCK, message, remedy, items)]


_INSTEAD = " Or put a metric first in `metrics` of dataset.toml that needs neither judge nor people."


def _told(agreement: Agreement | None) -> str:
    if agreement is None:
        return "no human labels"
    found = agreement.kappa
    kappa = "none" if found is None else f"{found.estimate:.2f} [{found.low:.2f}, {found.high:.2f}]"
    unscored = f", {agreement.n_unscored} of them not graded" if agreement.n_unscored else ""
    return f"kappa {kappa} on {agreement.n} labelled answers{unscored}"
