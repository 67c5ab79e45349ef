"""What an audit found, the worst first."""

from collections.abc import Sequence

import streamlit as st

from advisor.report.sections.verdict import severity_text
from advisor.results.comparison import AuditFinding, Severity
from ui.counted import counted
from ui.untrusted import shown


def show_findings(findings: Sequence[AuditFinding]) -> None:
    """Every finding with its remedy, and its cases a click away."""
    order = list(Severity)
    if not findings:
        st.success("The audit found nothing to object to.", icon=":material/verified:")
    for finding in sorted(findings, key=lambda finding: order.index(finding.severity)):
        told = {Severity.BLOCK: st.error, Severity.WARN: st.warning, Severity.NOTE: st.info}[finding.severity]
        told(
            f"**{severity_text(finding.severity)}: {shown(finding.check)}.** {shown(finding.message)} "
            f"*What to do:* {shown(finding.remedy)}"
        )
        if finding.items:
            with st.expander(f"{counted(len(finding.items), 'case')}: {shown(finding.check)}"):
                st.text("\n".join(finding.items))
