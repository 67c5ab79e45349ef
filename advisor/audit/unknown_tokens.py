"""Whether embedder and reader know the script: what is an unknown token to them they cannot tell apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from advisor.audit.check import Check
from advisor.data.wording import listed
from advisor.results.comparison import AuditFinding, Severity

MAX_UNKNOWN_SHARE = 0.2
"""Above this share of unknown tokens, arms that depend on the model get no verdict."""


@dataclass(frozen=True, slots=True)
class UnknownTokens:
    """What a model does not know of the texts it is given.

    Attributes:
        role: "embedder" or "reader".
        model: Its name.
        shares: Unknown tokens as a share of all, 0 to 1, by what was read ("documents", "questions").
        remedy: What to do, as an imperative.
    """

    role: str
    model: str
    shares: Mapping[str, float]
    remedy: str

    @property
    def message(self) -> str:
        """What is unknown to the model, beyond the limit; "" where nothing is."""
        unknown = [f"{share:.0%} of the {what}" for what, share in self.shares.items() if share > MAX_UNKNOWN_SHARE]
        return f"{listed(unknown)} are unknown tokens to the {self.role} {self.model}" if unknown else ""


def audit_unknown_tokens(measured: Sequence[tuple[UnknownTokens, Sequence[str]]]) -> list[AuditFinding]:
    """A finding for each model that does not know the script.

    Args:
        measured: Each model with the arms that depend on it.
    """
    return [
        AuditFinding(
            Check.UNKNOWN_TOKENS,
            Severity.WARN,
            f"{unknown.message}, so {listed(list(arms))} cannot win.",
            unknown.remedy,
            tuple(f"{what}: {share:.1%} unknown tokens" for what, share in unknown.shares.items()),
        )
        for unknown, arms in measured
        if unknown.message and arms
    ]
