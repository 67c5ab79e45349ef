"""Arms may differ in what they are; instruction, decoding and base weights they must share."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from advisor.audit.check import Check
from advisor.results.comparison import AuditFinding, Severity
from lm.completion import GenerationConfig
from lm.files import sha256


@dataclass(frozen=True, slots=True)
class ArmSetup:
    """What an arm is asked with.

    Attributes:
        instruction: The answer instruction in its prompts.
        base: Name and precision of the untuned model; base_fingerprint: hash of weights, tokenizer, template and dtype.
    """

    arm: str
    instruction: str
    decoding: GenerationConfig
    base: str
    base_fingerprint: str

    @property
    def hashes(self) -> dict[str, str]:
        """Short hashes of all three, for the report; arms of a fair comparison have equal ones."""
        return {
            f"instruction {self.arm}": _short_hash(self.instruction),
            f"decoding {self.arm}": _short_hash(repr(self.decoding)),
            f"base {self.arm}": _short_hash(self.base_fingerprint),
        }


def audit_fairness(setups: Sequence[ArmSetup]) -> list[AuditFinding]:
    """A finding for each of instruction, decoding and base that is not the same for all.

    Args:
        setups: Of the candidates.
    """
    return [
        *_unequal(
            setups,
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
        *_unequal(
            setups,
            Check.UNEQUAL_BASE,
            lambda setup: f"{setup.base}, fingerprint {setup.base_fingerprint[:12]}",
            "do not start from the same weights in the same precision",
            "Build all arms on one model, loaded once, with one quantisation and one chat template.",
        ),
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
