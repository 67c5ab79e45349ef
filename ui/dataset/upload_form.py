"""Files of a visitor on their way to a dataset: checked first, stored when asked."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import pandas as pd
import streamlit as st

from advisor.data.dataset import Task
from advisor.data.files import CARD_FILE
from advisor.data.folder_import import FileOutcome
from advisor.data.formats.rows import READERS
from service.contract.client import ServiceClient, ServiceError, why_not_sent
from service.contract.schemas import ValidationReport
from ui.connection import show_failure
from ui.counted import counted
from ui.dataset.choice import DATASET
from ui.dataset.question_edits import questions_table
from ui.dataset.question_generation import generation_form
from ui.dataset.upload_table import with_named_columns
from ui.findings import show_findings
from ui.untrusted import shown

_FILES, _FOLDER = "Files or one zip", "A folder"
_BY_HAND, _BY_MODEL = "Write them here", "Let a model write them"
_ROUND = "upload round"
_REPORT = "upload report"
_WITH_QUESTIONS = frozenset({".zip", *(f".{ending}" for ending in READERS)}) - {".xlsx"}
_TASKS = {
    Task.QUESTION_ANSWERING: "question-answering: short answers found in documents",
    Task.CLASSIFICATION: "classification: one label for a text",
    Task.EXTRACTION: "extraction: a record (JSON) out of a text",
    Task.GENERATION: "generation: a text to be written",
}


def upload_form(client: ServiceClient) -> None:
    """Choose files, see what is wrong with them, and store them as a version."""
    kind = st.segmented_control("What you have", [_FILES, _FOLDER], default=_FILES, required=True, key="upload kind")
    files = _chosen_files(folder=kind == _FOLDER)
    if not files:
        st.caption(
            "Documents (PDF, Word, PowerPoint, Excel, OpenDocument, HTML, EPUB, RTF, e-mail, CSV, JSON, .md, .txt) "
            "with one table of questions (columns question, answer; optional document, group, split, answerable); "
            "SQuAD, chat messages, ShareGPT, Alpaca, ragas, promptfoo, BEIR, Parquet; or a dataset folder. The format "
            "is recognised, and nothing is stored before you say so."
        )
        return
    name, task = _card_fields(files)
    files = with_named_columns(files)
    if _lacks_questions(files):
        how = st.segmented_control(
            "Questions", [_BY_HAND, _BY_MODEL], default=_BY_HAND, required=True, key="written by"
        )
        if how == _BY_MODEL:
            generation_form(client, files=files)
            return
        files = {**files, **_written_questions(files)}
    report = _checked(client, files, name, task)
    if report is None:
        return
    show_report(report)
    if st.button("Store this dataset", type="primary", icon=":material/save:", disabled=not report.usable):
        _store(client, files, name, task)


def show_report(report: ValidationReport) -> None:
    """What the files hold, or what is wrong with them by file and line."""
    if report.usable:
        if report.read_as:
            st.markdown(f"Recognised: {shown(report.read_as, 300)}")
        sizes = ", ".join(f"{n:,} {split}" for split, n in report.split_sizes.items())
        st.success(
            f"It can be used: {counted(report.n_documents, 'document')}; questions: {sizes}.",
            icon=":material/check_circle:",
        )
        show_files(report.files)
        with st.expander(f"What the audit says ({len(report.findings)})", expanded=bool(report.findings)):
            show_findings(report.findings)
        return
    st.error(f"It cannot be used yet. Problems: {len(report.problems)}. Fix them and upload again.")
    rows = [
        {"file": one.file, "line": str(one.line) if one.line else "", "what is wrong, and what to do": one.message}
        for one in report.problems
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch", key="problems", alt="Problems by file and line")


def show_files(files: Sequence[FileOutcome]) -> None:
    """What became of every file, those that were not read first."""
    lost = sum(not file.document_id and bool(file.detail) for file in files)
    label = f"What became of the files ({len(files)})" + (f": {lost} not read" if lost else "")
    with st.expander(label, expanded=bool(lost)):
        rows = [
            {
                "file": shown(file.name, 200),
                "became": str(file.fate),
                "pages": str(file.n_pages or ""),
                "why, or what was left out": shown(file.detail, 500),
            }
            for file in sorted(files, key=lambda file: (bool(file.document_id), not file.detail, file.name))
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch", key="files", alt="What became of each file")


def _chosen_files(*, folder: bool) -> dict[str, bytes]:
    number = st.session_state.setdefault(_ROUND, 0)
    if folder:
        chosen = st.file_uploader("Folder", accept_multiple_files="directory", key=f"folder {number}")
    else:
        chosen = st.file_uploader("Files", accept_multiple_files=True, key=f"files {number}")
    counts = Counter(one.name for one in chosen)
    if twice := [name for name, n in counts.items() if n > 1]:
        st.error(f"Two files are called {shown(twice[0], 80)}; rename one, or upload the folder or a zip.")
        return {}
    if not folder:
        return {one.name: one.getvalue() for one in chosen}
    why = {one.name: why_not_sent(PurePosixPath(one.name)) for one in chosen}
    if left_out := [f"{name}: {reason}" for name, reason in why.items() if reason]:
        with st.expander(f"Left out, since they are no data files: {len(left_out)}"):
            st.text("\n".join(left_out))
    return {one.name: one.getvalue() for one in chosen if not why[one.name]}


def _card_fields(files: Mapping[str, bytes]) -> tuple[str | None, Task | None]:
    """Name and task, asked for where no card among the files says them."""
    if any(PurePosixPath(name).name == CARD_FILE for name in files):
        return None, None
    if any(name.lower().endswith(".zip") for name in files):
        st.caption(f"Where the archive holds a {CARD_FILE}, that says name and task.")
    name_field, task_field = st.columns(2)
    name = name_field.text_input("Name of the dataset", _guessed_name(files), max_chars=120, key="upload name")
    task = task_field.selectbox("Task", list(Task), format_func=_TASKS.__getitem__, key="upload task")
    return name.strip() or None, task


def _guessed_name(files: Mapping[str, bytes]) -> str:
    first = PurePosixPath(next(iter(files)))
    if len(first.parts) > 1:
        return first.parts[0]
    return first.stem if len(files) == 1 else ""


def _lacks_questions(files: Mapping[str, bytes]) -> bool:
    return not any(PurePosixPath(name).suffix.lower() in _WITH_QUESTIONS for name in files)


def _written_questions(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """A table of questions, written here where only documents were uploaded."""
    st.markdown("**Write the questions**")
    st.caption(
        "No file holds questions, so write them here. Separate several right answers by |. Give all wordings of one "
        "fact the same group. Ask each fact in two or three wordings where you can."
    )
    tops = {PurePosixPath(name).parts[0] for name in files}
    top = f"{tops.pop()}/" if len(tops) == 1 and all("/" in name for name in files) else ""
    documents = [
        str(PurePosixPath(name.removeprefix(top)).with_suffix(""))
        for name in files
        if not name.lower().endswith(".toml")
    ]
    blank = pd.DataFrame({column: pd.Series(dtype="str") for column in ("question", "answer", "document", "group")})
    written = st.data_editor(
        blank,
        num_rows="dynamic",
        hide_index=True,
        width="stretch",
        column_config={
            "question": st.column_config.TextColumn(width="large"),
            "document": st.column_config.SelectboxColumn(options=documents),
        },
        key="written questions",
        alt="Questions with their answers, to be filled in",
    )
    rows = [row for row in written.fillna("").to_dict("records") if any(row.values())]
    return {f"{top}questions.csv": questions_table(rows)}


def _checked(
    client: ServiceClient, files: Mapping[str, bytes], name: str | None, task: Task | None
) -> ValidationReport | None:
    """What the service says of the files; asked once for the same files."""
    key = hash((tuple(files.items()), name, task))
    kept = st.session_state.get(_REPORT)
    if kept is not None and kept[0] == key:
        return kept[1]  # type: ignore[no-any-return]
    try:
        with st.spinner("Checking the files …"):
            report = client.validate_dataset(files, name=name, task=task)
    except ServiceError as error:
        show_failure("The files could not be checked", error)
        return None
    st.session_state[_REPORT] = (key, report)
    return report


def _store(client: ServiceClient, files: Mapping[str, bytes], name: str | None, task: Task | None) -> None:
    try:
        with st.spinner("Storing …"):
            stored = client.upload_dataset(files, name=name, task=task)
    except ServiceError as error:
        show_failure("The dataset could not be stored", error)
        return
    # Another round makes another field, which is empty.
    st.session_state[_ROUND] += 1
    st.session_state.pop(_REPORT, None)
    st.query_params[DATASET] = stored.version
    st.toast(f"{shown(stored.name)} is stored.", icon=":material/save:")
    st.rerun()
