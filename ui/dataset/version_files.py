"""The files of a version, read once: they never change. A change is another version."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import streamlit as st

from advisor.data.files import DOCUMENTS_FILE, QUESTIONS_FILE
from service.contract.client import ServiceClient, ServiceError
from service.contract.schemas import DatasetDetail
from ui.connection import cache_owner, guarded, show_failure
from ui.dataset.choice import DATASET
from ui.dataset.question_edits import Row, read_rows, write_rows


@dataclass(frozen=True)
class VersionFiles:
    """What a version is made of; not to be changed.

    Attributes:
        contents: Bytes by name.
        questions: Lines of questions.jsonl.
        documents: Lines of documents.jsonl by id.
    """

    contents: Mapping[str, bytes]
    questions: tuple[Row, ...]
    documents: Mapping[str, Row]


def version_files(client: ServiceClient, version: str) -> VersionFiles:
    """The files of a version; the page ends with a message where they cannot be read."""
    with guarded("The files of the dataset could not be read"):
        return _read(client, version, cache_owner())


# A resource is handed out without a copy, which a large dataset would make slow.
@st.cache_resource(max_entries=4, show_spinner="Reading the dataset …")
def _read(_client: ServiceClient, version: str, owner: str) -> VersionFiles:
    contents = _client.get_dataset_files(version)
    documents = read_rows(contents[DOCUMENTS_FILE])
    return VersionFiles(contents, tuple(read_rows(contents[QUESTIONS_FILE])), {row["id"]: row for row in documents})


def store_questions(
    client: ServiceClient,
    files: VersionFiles,
    questions: list[Row],
    *,
    done: str,
    failure: str,
    then: Callable[[DatasetDetail], object] = lambda version: None,
) -> None:
    """Store a version with other questions and everything else as it was, go there, and say so.

    Args:
        done: What is said then. failure: What is said where the questions are unfit or the service refuses.
        then: Called with the version before the page goes there; may fail likewise.
    """
    try:
        with st.spinner("Storing …"):
            stored = client.upload_dataset({**files.contents, QUESTIONS_FILE: write_rows(questions)})
            then(stored)
    except ServiceError as error:
        show_failure(failure, error)
        return
    st.query_params[DATASET] = stored.version
    st.toast(done, icon=":material/save:")
    st.rerun()
