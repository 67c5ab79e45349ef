"""Models worth comparing, and where measurements put them between price and quality."""

import pandas as pd
import streamlit as st

from advisor.money.catalogue import CatalogueModel
from advisor.results.comparison import Interval
from advisor.results.quantities import AS_MEASURED, MISSING, POINTS, ScoreScale, exact_usd, unscored, usd_range
from service.contract.client import ServiceClient
from service.contract.schemas import CatalogueView, PricedQualityView
from ui.connection import cache_owner, guarded, service_client
from ui.figures import price_quality, show_figure
from ui.untrusted import shown


@st.cache_data(ttl=60, show_spinner="Reading the catalogue …")
def _catalogue(_client: ServiceClient, owner: str) -> CatalogueView:
    return _client.get_catalogue()


def catalogue_frame(models: list[CatalogueModel]) -> pd.DataFrame:
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
    scales = {one.metric: scale_of_metric(measured, one.metric) for one in measured}
    return pd.DataFrame(
        [
            {
                "dataset": one.dataset,
                "model": one.model,
                "arm": one.arm,
                "metric": one.metric,
                "score, 95 % interval": _score(one, scales[one.metric]),
                "questions": f"{one.n:,}" + (f", {unscored(one.n_unscored)}" if one.n_unscored else ""),
                "price of 1,000 questions, 95 % interval": _price(one),
                "recommended": "yes" if one.is_recommended else "",
                "comparison": one.comparison_id,
            }
            for one in measured
        ]
    )


def scale_of_metric(measured: list[PricedQualityView], metric: str) -> ScoreScale:
    """Points where every comparison's scores are shares, so that one column has one unit."""
    return POINTS if all(one.is_share for one in measured if one.metric == metric) else AS_MEASURED


def _score(one: PricedQualityView, scale: ScoreScale) -> str:
    return f"{scale.interval(Interval(one.score, one.score_low, one.score_high))} {scale.unit}"


def _price(one: PricedQualityView) -> str:
    price, low, high = one.usd_per_1000_queries, one.usd_per_1000_queries_low, one.usd_per_1000_queries_high
    if price is None or low is None or high is None:
        return exact_usd(price)
    return f"{exact_usd(price)} {usd_range(Interval(price, low, high))}"


st.title("Models")
with guarded("The catalogue could not be read"):
    catalogue = _catalogue(service_client(), cache_owner())
st.header("Measured here")
if catalogue.measured:
    datasets = list(dict.fromkeys(one.dataset for one in catalogue.measured))
    dataset = st.selectbox("Dataset", datasets)
    on_it = [one for one in catalogue.measured if one.dataset == dataset]
    metrics = list(dict.fromkeys(one.metric for one in on_it))
    metric = metrics[0]
    if len(metrics) > 1:
        metric = st.selectbox("Metric of the picture", metrics)
        st.caption("Comparisons of this dataset were decided by several metrics, and a picture holds one.")
    drawn = [one for one in on_it if one.metric == metric]
    if figure := price_quality(drawn, scale_of_metric(on_it, metric)):
        show_figure(figure, "price and quality")
    else:
        st.info("None of these arms has a price, so there is nothing to draw.")
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
