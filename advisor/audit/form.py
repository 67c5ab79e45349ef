"""Whether answers kept the form they were to be held to, and whether they had room for it."""

from collections.abc import Callable, Mapping, Sequence

from advisor.audit.check import MAX_ITEMS, Check
from advisor.data.dataset import Dataset
from advisor.results.comparison import ArmRole, ArmSummary, AuditFinding, Severity


def audit_form(arms: Sequence[ArmSummary]) -> list[AuditFinding]:
    """Arms whose endpoint took no constraint, and answers outside the labels or the schema in spite of one.

    Args:
        arms: Of a comparison whose answers were to be held to a form.
    """
    candidates = [arm for arm in arms if arm.role is ArmRole.CANDIDATE]
    free = {arm.id: (arm.n_constraint_refused, arm.n_questions) for arm in candidates if arm.n_constraint_refused}
    outside = {
        arm.id: (arm.n_outside_form, arm.n_questions)
        for arm in candidates
        if arm.n_outside_form and not arm.n_constraint_refused
    }
    findings = []
    if free:
        findings.append(
            AuditFinding(
                Check.CONSTRAINT_REFUSED,
                Severity.WARN,
                f"The endpoint does not take a constraint: answered unconstrained were {_told(free)}. Answers outside "
                "the labels or the schema count as wrong there, which a local model or another endpoint rules out.",
                "Ask an endpoint that takes `response_format` with a JSON schema, or compare with `--constrain off`.",
            )
        )
    if outside:
        findings.append(
            AuditFinding(
                Check.OUTSIDE_FORM,
                Severity.WARN,
                f"Answers outside the required labels or schema: {_told(outside)}.",
                "Raise max_output_tokens if they were truncated; an endpoint may also ignore the constraint.",
            )
        )
    return findings


def audit_output_room(
    dataset: Dataset, references: Mapping[str, str], count: Callable[[str], int]
) -> list[AuditFinding]:
    """References that an answer of `max_output_tokens` cannot hold, so that no arm can be right there.

    Args:
        references: Text by question id.
        count: Tokens of a text for the model that answers.
    """
    limit = dataset.card.max_output_tokens
    n_tokens = {text: count(text) for text in dict.fromkeys(references.values())}
    too_long = [(i, text) for i, text in references.items() if n_tokens[text] > limit]
    if not too_long:
        return []
    longest = max(n_tokens.values())
    return [
        AuditFinding(
            Check.OUTPUT_ROOM,
            Severity.WARN,
            f"The references of {len(too_long)} of {len(references)} questions take more than max_output_tokens "
            f"({limit}), the longest {longest} tokens of this model. Right answers to them are cut off.",
            f"Set max_output_tokens in dataset.toml to {longest} or more.",
            tuple(f"{i}: {n_tokens[text]} tokens" for i, text in too_long[:MAX_ITEMS]),
        )
    ]


def _told(counts: Mapping[str, tuple[int, int]]) -> str:
    return ", ".join(f"{n} of {n_questions} by {arm}" for arm, (n, n_questions) in counts.items())
