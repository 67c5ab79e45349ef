"""What the audit found in a dataset, fixed where it is shown: each fix is stored as a new version."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import streamlit as st

from advisor.audit.check import Check
from advisor.data.dataset import Task
from advisor.results.comparison import AuditFinding
from service.contract.client import ServiceClient
from service.contract.schemas import DatasetDetail
from ui.dataset.question_edits import Row, group_together, mark_unanswerable, remove_question
from ui.dataset.version_files import VersionFiles, store_questions
from ui.untrusted import shown

_PAIRS: Mapping[str, str] = {Check.LEAKAGE: " ~ ", Check.LEAKED_PARAPHRASE: " ~ ", Check.DUPLICATES: " = "}
_SINGLE = (Check.SWAPPED_GOLD, Check.MALFORMED_ROWS)
# Questions in the same words stay a leak whatever their groups are.
_GROUPED = (Check.LEAKED_PARAPHRASE, Check.DUPLICATES)
_LIKENESS = re.compile(r" \(\d+% alike\)$")


def fixable_cases(findings: Sequence[AuditFinding], rows: Mapping[str, Row]) -> list[tuple[str, tuple[str, ...]]]:
    """The check and the one or two questions of each case that questions can be changed for.

    Args:
        rows: Questions by id.
    """
    cases = []
    for finding in findings:
        for item in finding.items:
            if finding.check in _PAIRS:
                first, _, second = item.partition(_PAIRS[finding.check])
                ids: tuple[str, ...] = (first, _LIKENESS.sub("", second))
            elif finding.check in _SINGLE:
                ids = (item.partition(": ")[0],)
            else:
                continue
            if all(one in rows for one in ids):
                cases.append((finding.check, ids))
    return cases


def fix_findings(client: ServiceClient, dataset: DatasetDetail, files: VersionFiles) -> None:
    """The cases one at a time, their questions side by side, each with what can be done about it."""
    rows = {row["id"]: row for row in files.questions}
    cases = fixable_cases(dataset.findings, rows)
    if not cases:
        return
    st.header("Fix it here")
    st.caption("Each fix is stored as a new version; this one stays as it is.")
    named = {f"{check}: {' and '.join(ids)}": (check, ids) for check, ids in cases}
    check, ids = named[st.selectbox(f"Case (of {len(cases):,})", list(named), key=f"case of {dataset.version}")]

    def offer(label: str, icon: str, key: str, change: Callable[[Sequence[Row]], list[Row]]) -> None:
        if st.button(label, icon=icon, key=f"fix {key} {dataset.version}"):
            store_questions(
                client,
                files,
                change(files.questions),
                done="Fixed in a new version.",
                failure="The fix could not be stored",
            )

    for one, column in zip(ids, st.columns(len(ids), border=True), strict=True):
        with column:
            _show(rows[one])
            remove = partial(remove_question, question_id=one)
            offer("Remove this question", ":material/delete:", f"remove {one}", remove)
            if dataset.task is Task.QUESTION_ANSWERING and rows[one].get("answerable", True):
                decline = partial(mark_unanswerable, question_id=one)
                offer("No document answers this", ":material/block:", f"decline {one}", decline)
    if check in _GROUPED:
        offer("They ask the same: one group", ":material/join:", "group", partial(group_together, question_ids=ids))


def _show(row: Row) -> None:
    answers = row.get("answers") or []
    answers = [answers] if isinstance(answers, str) else answers
    st.text(row["question"])
    st.text(f"Right answer: {' | '.join(answers) or '(none: no document answers it)'}")
    told = [f"{name} {shown(str(row[name]))}" for name in ("split", "group", "id") if row.get(name)]
    st.caption(" · ".join(told))
