"""Models worth comparing, and where measurements put them between price and quality."""

import pandas as pd
import streamlit as st

from advisor.report.quantities import MISSING, usd
from service.api.schemas import CatalogueModelView, CatalogueView, PricedQualityView
from service.client import ServiceClient
from ui.connection import cache_owner, guarded, service_client
from ui.figures import price_quality, show_figure
from ui.untrusted import shown


@st.cache_data(ttl=60, show_spinner="Reading the catalogue …")
def _catalogue(_client: ServiceClient, owner: str) -> CatalogueView:
    return _client.get_catalogue()


def catalogue_frame(models: list[CatalogueModelView]) -> pd.DataFrame:
    """A row a model."""
    return pd.DataFrame(
        [
            {
                "model": one.name,
                "family": one.family,
                "licence": one.licence,
                "weights open": one.weights,
                "data open": one.data or MISSING,
                "code open": one.code or MISSING,
                "parameters (billion)": one.parameters / 1e9 if one.parameters else None,
                "context (tokens)": one.context_tokens,
                "input (USD a million tokens)": one.price.usd_per_million_input_tokens if one.price else None,
                "output (USD a million tokens)": one.price.usd_per_million_output_tokens if one.price else None,
                "as of": one.as_of,
                "read at": "\n".join(one.sources),
                "note": one.note,
            }
            for one in models
        ]
    )


def measured_frame(measured: list[PricedQualityView]) -> pd.DataFrame:
    """A row an arm that was measured here."""
    return pd.DataFrame(
        [
            {
                "data set": one.dataset,
                "model": one.model,
                "arm": one.arm,
                "metric": one.metric,
                "score (points)": f"{one.score * 100:.1f} [{one.score_low * 100:.1f}, {one.score_high * 100:.1f}]",
                "price of 1,000 questions": usd(one.usd_per_1000_queries),
                "recommended": "yes" if one.is_recommended else "",
                "comparison": one.comparison_id,
            }
            for one in measured
        ]
    )


st.title("Models")
with guarded("The catalogue could not be read"):
    catalogue = _catalogue(service_client(), cache_owner())
st.header("Measured here")
if catalogue.measured:
    datasets = list(dict.fromkeys(one.dataset for one in catalogue.measured))
    dataset = st.selectbox("Data set", datasets)
    on_it = [one for one in catalogue.measured if one.dataset == dataset]
    if figure := price_quality(on_it):
        show_figure(figure, "price and quality")
    st.dataframe(
        measured_frame(on_it), hide_index=True, width="stretch", key="measured", alt="Arms measured on this service"
    )
else:
    st.info("Nothing has been measured on this service yet; finished comparisons appear here.")
    st.page_link("app_pages/new_comparison.py", label="New comparison", icon=":material/add_circle:")
st.header("Catalogue")
st.caption(
    "Licences and prices as they were read on the day under “as of”; a dash is what could not be found out. Quality is "
    "not listed: measure it on your own data."
)
families = sorted({one.family for one in catalogue.models})
chosen = st.pills("Family", families, selection_mode="multi", key="families")
listed = [one for one in catalogue.models if not chosen or one.family in chosen]
st.dataframe(catalogue_frame(listed), hide_index=True, width="stretch", key="catalogue", alt="Catalogue of models")
with st.expander("Where the rows were read"):
    st.text("\n".join(f"{one.name}: {', '.join(one.sources)}" for one in listed))
if not listed:
    st.info(f"No model of {shown(', '.join(chosen or []))} is listed.")
