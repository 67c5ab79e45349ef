"""The dataset that a page is about."""

import streamlit as st

from service.contract.client import ServiceClient
from service.contract.schemas import DatasetSummary
from ui.connection import guarded
from ui.linked_choice import guarded_address, linked_choice

DATASET = "dataset"


def chosen_dataset(client: ServiceClient) -> DatasetSummary:
    """The dataset of the address, for the visitor to change; the newest where the address names none."""
    with guarded("The datasets could not be listed"):
        listed = client.list_datasets(limit=200).items
    by_version = {one.version: one for one in listed}
    wanted = st.query_params.get(DATASET)
    if wanted and wanted not in by_version:
        with guarded_address("The dataset of this address could not be read"):
            by_version[wanted] = client.get_dataset(wanted)
    version = linked_choice("Dataset", DATASET, list(by_version), lambda one: dataset_label(by_version[one]))
    return by_version[version]


def dataset_label(dataset: DatasetSummary) -> str:
    """Name, task and where it is from, as plain text."""
    kind = "bundled" if dataset.bundled else dataset.version[:8]
    return f"{dataset.name} · {dataset.task} · {kind}"
