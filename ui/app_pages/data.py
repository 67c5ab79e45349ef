"""Documents and questions: upload or pick them, see what is wrong, look through, change and review them."""

import pandas as pd
import streamlit as st

from advisor.audit.check import Check
from advisor.data.dataset import Slice, Split
from service.contract.client import ServiceClient, ServiceError
from service.contract.schemas import DatasetDetail, DocumentPage, ExampleItem, ExamplePage
from ui.connection import cache_owner, guarded, service_client, show_failure
from ui.counted import counted
from ui.dataset.choice import DATASET, chosen_dataset
from ui.dataset.finding_fixes import fix_findings
from ui.dataset.question_edits import apply_edits, editor_frame
from ui.dataset.question_generation import generation_form, list_question_runs, watch_question_run
from ui.dataset.question_review import review_questions
from ui.dataset.split_picture import sharing_figure, sharing_sentence, split_figure
from ui.dataset.upload_form import upload_form
from ui.dataset.version_files import VersionFiles, store_questions, version_files
from ui.figures import show_figure
from ui.findings import show_findings
from ui.last_resort import last_resort
from ui.untrusted import shown

_OVERVIEW, _QUESTIONS, _DOCUMENTS, _EDIT, _REVIEW = "Overview", "Questions", "Documents", "Edit", "Review"
_PAGE_QUESTIONS, _PAGE_DOCUMENTS, _LARGEST_PAGE = 100, 20, 500
_LEAKS = (Check.LEAKAGE, Check.LEAKED_PARAPHRASE, Check.LEAKED_GROUP, Check.DUPLICATES)


@st.cache_data(max_entries=200, show_spinner="Reading the questions …")
def _examples(
    _client: ServiceClient,
    version: str,
    owner: str,
    split: Split | None,
    part: Slice | None,
    contains: str | None,
    offset: int,
) -> ExamplePage:
    return _client.list_examples(
        version, split=split, part=part, contains=contains, limit=_PAGE_QUESTIONS, offset=offset
    )


# A resource is handed out without a copy, which a large dataset would make slow.
@st.cache_resource(max_entries=4, show_spinner="Reading the questions …")
def _all_examples(_client: ServiceClient, version: str, owner: str) -> list[ExampleItem]:
    first = _client.list_examples(version, limit=_LARGEST_PAGE)
    found = list(first.items)
    while len(found) < first.total:
        found += _client.list_examples(version, limit=_LARGEST_PAGE, offset=len(found)).items
    return found


@st.cache_data(max_entries=100, show_spinner="Reading the documents …")
def _documents(_client: ServiceClient, version: str, owner: str, contains: str | None, offset: int) -> DocumentPage:
    return _client.list_documents(version, contains=contains, limit=_PAGE_DOCUMENTS, offset=offset)


def show_overview(client: ServiceClient, dataset: DatasetDetail) -> None:
    """The card, what the audit found, and how the questions are split."""
    st.write(shown(dataset.description) or "It has no description.")
    card = {
        "name": dataset.name,
        "version": dataset.version,
        "task": str(dataset.task),
        "language": dataset.language,
        "licence": dataset.licence,
        "longest answer (tokens)": str(dataset.max_output_tokens),
        "deciding metric": dataset.metrics[0],
    }
    frame = pd.DataFrame({"property": card.keys(), "value": card.values()})
    st.dataframe(frame, hide_index=True, width="stretch", key="card", alt="Properties of the dataset")
    if others := dataset.metrics[1:]:
        st.text(f"Other metrics: {', '.join(others)}")
    st.text(f"Every arm is told: {dataset.instruction}")
    st.header("Split and leakage")
    with guarded("The questions could not be read"):
        examples = _all_examples(client, dataset.version, cache_owner())
    st.write(sharing_sentence(examples))
    first, second = st.columns(2)
    with first:
        show_figure(split_figure(examples), "split")
    with second:
        show_figure(sharing_figure(examples), "sharing")
    if not any(finding.check in _LEAKS for finding in dataset.findings):
        st.success("The audit found no question on both sides of the split and none twice.", icon=":material/verified:")
    st.header("What the audit found")
    show_findings(dataset.findings)
    fix_findings(client, dataset, version_files(client, dataset.version))
    offer_changes(client, dataset)


def offer_changes(client: ServiceClient, dataset: DatasetDetail) -> None:
    """Freeze and delete, which bundled datasets do not take."""
    if dataset.bundled:
        st.caption("It comes with Tuning Fork and never changes; what you edit is saved as a version of your own.")
        return
    st.header("Keep or delete")
    if dataset.frozen:
        st.info("It is frozen: it cannot be deleted.", icon=":material/lock:")
        return
    row = st.container(horizontal=True)
    with row.popover("Freeze …", icon=":material/lock:"):
        st.write("A frozen version cannot be deleted any more. This cannot be taken back.")
        if st.button("Freeze it", key="freeze"):
            with guarded("It could not be frozen"):
                client.freeze_dataset(dataset.version)
            st.rerun()
    with row.popover("Delete …", icon=":material/delete:"):
        st.write(f"Delete {shown(dataset.name)}, version {dataset.version[:8]}, for good?")
        if st.button("Delete it for good", key="delete", type="primary"):
            try:
                client.delete_dataset(dataset.version)
            except ServiceError as error:
                show_failure("It could not be deleted", error)
            else:
                st.query_params.pop(DATASET, None)
                st.rerun()


@st.fragment
@last_resort("the questions of a dataset")
def browse_questions(client: ServiceClient, version: str) -> None:
    """The questions with filters, and one of them in full."""
    split_field, slice_field, text_field = st.columns(3)
    split = split_field.selectbox(
        "Split", list(Split), index=None, placeholder="all splits", key="split", bind="query-params"
    )
    part = slice_field.selectbox(
        "Slice", list(Slice), index=None, placeholder="all slices", key="slice", bind="query-params"
    )
    contains = (
        text_field.text_input("Search in questions", max_chars=200, key="search", bind="query-params").strip() or None
    )
    page_key = f"data page {version} {split} {part} {contains}"
    number = int(st.session_state.get(page_key, 1))
    with guarded("The questions could not be read"):
        page = _examples(client, version, cache_owner(), split, part, contains, (number - 1) * _PAGE_QUESTIONS)
    st.caption(f"{counted(page.total, 'question')}. Choose a row to see all of it.")
    if not page.items:
        st.info("No question matches. Remove a filter.", icon=":material/filter_alt_off:")
        return
    picked = st.dataframe(
        question_frame(page.items),
        hide_index=True,
        width="stretch",
        column_config={"question": st.column_config.TextColumn(width="large")},
        on_select="rerun",
        selection_mode="single-row",
        key=f"data grid {page_key} {number}",
        alt="Questions with their right answers",
    )
    n_pages = -(-page.total // _PAGE_QUESTIONS)
    if n_pages > 1:
        st.number_input(f"Page (of {n_pages})", 1, n_pages, key=page_key)
    if rows := picked["selection"]["rows"]:
        show_question(client, version, page.items[rows[0] if rows[0] < len(page.items) else 0])


def question_frame(examples: list[ExampleItem]) -> pd.DataFrame:
    """A row a question."""
    return pd.DataFrame(
        [
            {
                "question": one.question,
                "right answers": " | ".join(one.answers) or "(none: it should decline)",
                "split": str(one.split),
                "slice": str(one.slice),
                "group": one.group,
                "documents": ", ".join(one.document_ids),
                "id": one.id,
            }
            for one in examples
        ]
    )


def show_question(client: ServiceClient, version: str, example: ExampleItem) -> None:
    """One question with the documents that answer it."""
    st.header("One question in full", anchor=False)
    st.text(f"Question: {example.question}")
    st.text(f"Right answers: {' | '.join(example.answers) or '(none: it should decline)'}")
    documents = version_files(client, version).documents
    for document_id in example.document_ids:
        with st.expander(shown(documents[document_id].get("title") or document_id, 80)):
            st.text(documents[document_id]["text"])


@st.fragment
@last_resort("the documents of a dataset")
def browse_documents(client: ServiceClient, version: str) -> None:
    """The documents, a few at a time."""
    contains = st.text_input("Search in documents", max_chars=200, key="document text").strip() or None
    page_key = f"document page {version} {contains}"
    number = int(st.session_state.get(page_key, 1))
    with guarded("The documents could not be read"):
        page = _documents(client, version, cache_owner(), contains, (number - 1) * _PAGE_DOCUMENTS)
    st.caption(f"{counted(page.total, 'document')}.")
    if not page.items:
        st.info("No document matches. Search for something else.", icon=":material/filter_alt_off:")
    for one in page.items:
        with st.expander(f"{shown(one.title or one.id, 80)} · {len(one.text):,} characters"):
            st.text(one.text)
            st.caption(shown(one.id))
    n_pages = -(-page.total // _PAGE_DOCUMENTS)
    if n_pages > 1:
        st.number_input(f"Page (of {n_pages})", 1, n_pages, key=page_key)


def edit_questions(client: ServiceClient, version: str, files: VersionFiles) -> None:
    """Add, change and remove questions; what comes of it is a new version."""
    st.write(
        "Change cells, add rows at the end, or mark rows and remove them. This version stays as it is; saving makes a "
        "new one."
    )
    if not any("split" in row for row in files.questions):
        st.caption(
            "The files leave the split open, so it is made anew for the changed questions. To fix it, fill in the "
            "column for every question."
        )
    key = f"editor {version}"
    st.data_editor(
        editor_frame(files.questions),
        num_rows="dynamic",
        hide_index=True,
        width="stretch",
        height=560,
        disabled=["review"],
        column_config={
            "question": st.column_config.TextColumn(width="large"),
            "answers": st.column_config.ListColumn("right answers", help="The first is the canonical one."),
            "answerable": st.column_config.CheckboxColumn(default=True, help="Off where no document answers it."),
            "document_ids": st.column_config.ListColumn("documents", help="Ids of documents that hold the answer."),
            "group": st.column_config.TextColumn(help="One name for all wordings of a fact or case."),
            "split": st.column_config.SelectboxColumn(options=list(Split)),
            "review": st.column_config.TextColumn(help="What a person said; it goes when the question changes."),
        },
        key=key,
        alt="Questions to be changed",
    )
    changed = apply_edits(files.questions, st.session_state[key])
    differs = changed != list(files.questions)
    if differs:
        st.caption("What you changed is kept only while this view is open: save it before you go elsewhere.")
    if st.button("Save as a new version", type="primary", icon=":material/save:", disabled=not differs):
        store_questions(
            client, files, changed, done="Saved as a new version.", failure="The questions could not be saved"
        )


st.title("Data")
the_client = service_client()
with st.expander("Upload documents and questions", icon=":material/upload_file:"):
    upload_form(the_client)
watch_question_run(the_client, "view", _REVIEW)
chosen = chosen_dataset(the_client)
with guarded("The dataset could not be read"):
    detail = the_client.get_dataset(chosen.version)
sizes = ", ".join(f"{n:,} {split}" for split, n in detail.split_sizes.items())
kind = "bundled" if detail.bundled else "frozen" if detail.frozen else "yours"
st.caption(f"{kind.capitalize()} · {counted(detail.n_documents, 'document')} · questions: {sizes}")
st.page_link(
    "app_pages/new_comparison.py",
    label="Compare on this dataset",
    icon=":material/add_circle:",
    query_params={DATASET: detail.version},
)
with st.expander("Let a model write questions from these documents", icon=":material/edit_note:"):
    generation_form(the_client, dataset=detail.version)
    list_question_runs(the_client)
view = st.segmented_control(
    "Show",
    [_OVERVIEW, _QUESTIONS, _DOCUMENTS, _EDIT, _REVIEW],
    default=_OVERVIEW,
    required=True,
    key="view",
    bind="query-params",
)
if view == _QUESTIONS:
    browse_questions(the_client, detail.version)
elif view == _DOCUMENTS:
    browse_documents(the_client, detail.version)
elif view == _EDIT:
    edit_questions(the_client, detail.version, version_files(the_client, detail.version))
elif view == _REVIEW:
    review_questions(the_client, detail.version, version_files(the_client, detail.version))
else:
    show_overview(the_client, detail)
