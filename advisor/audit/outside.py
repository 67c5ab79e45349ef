"""What cannot be checked of arms that were made elsewhere."""

from collections.abc import Mapping

from advisor.audit.check import Check
from advisor.results.comparison import AuditFinding, Severity


def audit_outside(unseen: Mapping[str, str]) -> list[AuditFinding]:
    """A warning that test questions may have gone into the making of an arm.

    Args:
        unseen: What nobody here saw of each outside arm, in words.
    """
    if not unseen:
        return []
    return [
        AuditFinding(
            Check.OUTSIDE,
            Severity.WARN,
            "Arms were made elsewhere, so whether test questions or their answers went into them cannot be checked.",
            "Make sure that who built them never saw the test split, or test on questions written since.",
            tuple(f"{arm}: {what} is not known" for arm, what in unseen.items()),
        )
    ]
