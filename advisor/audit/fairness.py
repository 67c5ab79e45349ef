"""Arms may differ in what they are; instruction and decoding they must share, and arms of one model its weights."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from advisor.audit.check import MAX_ITEMS, Check
from advisor.data.wording import listed
from advisor.results.comparison import AuditFinding, Severity
from lm.completion import GenerationConfig
from lm.files import sha256


@dataclass(frozen=True, slots=True)
class ArmSetup:
    """What an arm is asked with.

    Attributes:
        kind: Its row in the table of arms. model: Which model it is to start from, as the settings name it.
        instruction: The answer instruction in its prompts.
        base: Name and precision of the untuned model; base_fingerprint: hash of weights, tokenizer, template and dtype.
    """

    arm: str
    kind: str
    model: str
    instruction: str
    decoding: GenerationConfig
    base: str
    base_fingerprint: str

    @property
    def own_words(self) -> bool:
        """Whether it is asked in a prompt of its own."""
        return self.kind == "prompt"

    @property
    def hashes(self) -> dict[str, str]:
        """Short hashes of all three, for the report; arms of one model in a fair comparison have equal ones."""
        return {
            f"instruction {self.arm}": _short_hash(self.instruction),
            f"decoding {self.arm}": _short_hash(repr(self.decoding)),
            f"base {self.arm}": _short_hash(self.base_fingerprint),
        }


def audit_fairness(setups: Sequence[ArmSetup]) -> list[AuditFinding]:
    """A finding for each of instruction and decoding that is not the same for all, and base that is not for one model.

    Arms on several models are no fault: which of their differences mix model and method is said.

    Args:
        setups: Of the candidates.
    """
    return [
        *_unequal(
            [setup for setup in setups if not setup.own_words],
            Check.UNEQUAL_PROMPT,
            lambda setup: setup.instruction,
            "do not get the same answer instruction",
            "Give all arms the instruction of dataset.toml, word for word.",
        ),
        *_unequal(
            setups,
            Check.UNEQUAL_DECODING,
            lambda setup: repr(setup.decoding),
            "do not decode in the same way",
            "Use one output limit, temperature, seed, stop list, batch size and constraint for all arms.",
        ),
        *(
            finding
            for model in dict.fromkeys(setup.model for setup in setups)
            for finding in _unequal(
                [setup for setup in setups if setup.model == model],
                Check.UNEQUAL_BASE,
                lambda setup: f"{setup.base}, fingerprint {setup.base_fingerprint[:12]}",
                "do not start from the same weights in the same precision",
                "Build all arms of a model on it, loaded once, with one quantisation and one chat template.",
            )
        ),
        *_mixed(setups),
        *_worded_apart(setups),
    ]


def _worded_apart(setups: Sequence[ArmSetup]) -> list[AuditFinding]:
    """Arms with a prompt of their own: what they gain or lose by its words is part of their score."""
    apart = [setup.arm for setup in setups if setup.own_words]
    if not apart:
        return []
    return [
        AuditFinding(
            Check.OWN_PROMPT,
            Severity.NOTE,
            f"Worded apart, in prompts of their own: {listed(apart)}. A lead or a lag of theirs may be the wording's.",
            "To tell the method's share, compare two arms with the same prompt file.",
        )
    ]


def _mixed(setups: Sequence[ArmSetup]) -> list[AuditFinding]:
    """Which differences are of the method, which of the model, and that the others are of both."""
    by_model: dict[str, list[ArmSetup]] = {}
    by_kind: dict[str, list[ArmSetup]] = {}
    for setup in setups:
        by_model.setdefault(setup.base_fingerprint, []).append(setup)
        by_kind.setdefault(setup.kind, []).append(setup)
    if len(by_model) < 2:
        return []
    pure = [
        *(f"method, on {own[0].base}: {listed([one.arm for one in own])}" for own in by_model.values() if len(own) > 1),
        *(f"model, of {kind}: {listed([one.arm for one in own])}" for kind, own in by_kind.items() if len(own) > 1),
    ]
    mixed = [
        f"mixed: {first.arm} and {second.arm}"
        for first, second in combinations(setups, 2)
        if first.base_fingerprint != second.base_fingerprint and first.kind != second.kind
    ]
    if not mixed:
        return []
    return [
        AuditFinding(
            Check.MIXED_MODELS,
            Severity.NOTE,
            "Arms start from several models. A difference between two arms on one model is of the method, between two "
            f"of one kind of the model; {len(mixed)} of the other pairs mix both.",
            "To tell how much a method brings, compare arms on one model: add the missing ones.",
            (*pure, *mixed)[:MAX_ITEMS],
        )
    ]


def _unequal(
    setups: Sequence[ArmSetup], check: Check, trait: Callable[[ArmSetup], str], what: str, remedy: str
) -> list[AuditFinding]:
    traits = {setup.arm: trait(setup) for setup in setups}
    if len(set(traits.values())) < 2:
        return []
    ((usual, _),) = Counter(traits.values()).most_common(1)
    others = [arm for arm, own in traits.items() if own != usual]
    return [
        AuditFinding(
            check,
            Severity.BLOCK,
            f"The arms {what}: {', '.join(others)} differ from the others, so their scores say nothing about "
            "the method.",
            remedy,
            tuple(f"{arm}: {own!r}" for arm, own in traits.items()),
        )
    ]


def _short_hash(text: str) -> str:
    return sha256(text)[:16]
