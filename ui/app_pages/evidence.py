"""The evidence behind a verdict, question by question."""

import pandas as pd
import streamlit as st

from advisor.evidence.failure import NEXT_STEPS
from advisor.report.economics import speed_table
from advisor.report.form_gains import FORM_HEADING, form_sentences, form_table
from advisor.report.quality import difference_table, differences_with_pivot, other_metrics_table, quality_table
from advisor.results.comparison import Comparison
from advisor.results.quantities import MISSING, ScoreScale, scale_of
from service.contract.client import ServiceClient
from service.contract.schemas import GridRowView, QuestionGrid, ResultItem
from ui.address import COMPARISON, chosen_comparison
from ui.connection import cache_owner, guarded, service_client
from ui.counted import counted
from ui.figures import differences, show_figure, training_curves
from ui.finished import finished_comparison
from ui.last_resort import last_resort
from ui.overlap import overlap_marks
from ui.tables import show_table
from ui.untrusted import shown
from ui.votes import show_tally

_PAGE_QUESTIONS = 100
_ANY = "any failure"


@st.cache_data(max_entries=200, show_spinner="Reading the questions …")
def _questions(
    _client: ServiceClient,
    comparison_id: str,
    owner: str,
    arm: str | None,
    failure: str | None,
    part: str | None,
    contains: str | None,
    differing: bool,
    offset: int,
) -> QuestionGrid:
    return _client.list_questions(
        comparison_id,
        arm=arm,
        failure=failure,
        part=part,
        contains=contains,
        differing=differing,
        limit=_PAGE_QUESTIONS,
        offset=offset,
    )


@st.cache_data(max_entries=200, show_spinner="Reading the answers …")
def _answers(_client: ServiceClient, comparison_id: str, owner: str, example_id: str) -> list[ResultItem]:
    return _client.list_results(comparison_id, example_id=example_id, limit=50).items


@st.fragment
@last_resort("the questions of a comparison")
def browse(client: ServiceClient, comparison: Comparison, comparison_id: str) -> None:
    """The questions with filters, and one of them in full."""
    st.header("Question by question")
    owner = cache_owner()
    with guarded("The questions could not be read"):
        whole = _questions(client, comparison_id, owner, None, None, None, None, False, 0)
    arm_field, failure_field, slice_field, text_field = st.columns(4)
    arm = arm_field.selectbox("Arm", whole.arms, index=None, placeholder="any arm", key="arm", bind="query-params")
    failure = failure_field.selectbox(
        "Wrong because",
        [_ANY, *whole.failures],
        index=None,
        placeholder="right or wrong",
        key="failure",
        bind="query-params",
    )
    part = slice_field.selectbox(
        "Slice",
        [str(one) for one in whole.slices],
        index=None,
        placeholder="all slices",
        key="slice",
        bind="query-params",
    )
    contains = text_field.text_input(
        "Search", key="search", placeholder="question, reference or answer", max_chars=200, bind="query-params"
    )
    differing = st.toggle(
        "Show differences only", key="differing", help="Hide where all arms score alike.", bind="query-params"
    )
    wanted = (arm, "any" if failure == _ANY else failure, part, contains or None, differing)
    # The field for the page stands below the table that it turns.
    page_key = f"evidence page {wanted}"
    number = int(st.session_state.get(page_key, 1))
    with guarded("The questions could not be read"):
        page = _questions(client, comparison_id, owner, *wanted, (number - 1) * _PAGE_QUESTIONS)
    scale = scale_of(comparison, page.metric)
    st.caption(
        f"{counted(page.total, 'question')}; figures are {page.metric} in {scale.unit}. Choose a row to see all of it."
    )
    if step := next((step for kind, step in NEXT_STEPS.items() if kind == failure), None):
        st.info(f"What usually helps: {step}.", icon=":material/lightbulb:")
    if not page.items:
        st.info("No question is like that. Take a filter off.", icon=":material/filter_alt_off:")
        return
    picked = st.dataframe(
        question_frame(page.items, page.arms, scale),
        hide_index=True,
        width="stretch",
        column_config={
            "question": st.column_config.TextColumn(width="medium", pinned=True),
            "right answer": st.column_config.TextColumn(width="medium"),
        },
        on_select="rerun",
        selection_mode="single-row",
        key=f"evidence grid {wanted} {number}",
        alt="Test questions with the score of each arm",
    )
    n_pages = -(-page.total // _PAGE_QUESTIONS)
    if n_pages > 1:
        st.number_input(f"Page (of {n_pages})", 1, n_pages, key=page_key)
    rows = picked["selection"]["rows"]
    chosen = page.items[rows[0] if rows and rows[0] < len(page.items) else 0]
    show_question(client, comparison_id, chosen.example_id)


def question_frame(rows: list[GridRowView], arms: list[str], scale: ScoreScale) -> pd.DataFrame:
    """A row a question, a column an arm: the score, and why where it is wrong."""
    return pd.DataFrame(
        [
            {
                "question": row.question,
                "right answer": " | ".join(row.references) or "(none: it should decline)",
                **{arm: _told(row, arm, scale) for arm in arms},
                "slice": str(row.slice),
            }
            for row in rows
        ]
    )


def _told(row: GridRowView, arm: str, scale: ScoreScale) -> str:
    if arm not in row.answers:
        return "not asked"
    score = row.scores.get(arm)
    if score is None:
        return f"{MISSING} unscored"
    failure = row.failures.get(arm)
    return scale.value(score).removesuffix(".0") + (f" · {failure}" if failure else "")


def show_question(client: ServiceClient, comparison_id: str, example_id: str) -> None:
    """Every arm's answer to one question beside each other, with the passages it was given."""
    with guarded("The answers could not be read"):
        answers = _answers(client, comparison_id, cache_owner(), example_id)
    if not answers:
        st.info("There is no answer to this question.")
        return
    first = answers[0]
    st.subheader("One question in full", anchor=False)
    st.text(f"Question: {first.question}")
    st.text(f"Right answer: {' | '.join(first.references) or '(none: it should decline)'}")
    for start in range(0, len(answers), 3):
        for column, one in zip(st.columns(3), answers[start : start + 3], strict=False):
            with column.container(border=True):
                show_answer(one)


def show_answer(one: ResultItem) -> None:
    """What one arm said, how it was scored, and what it had read."""
    st.markdown(f"**{shown(one.arm)}**")
    st.text(one.answer.text or "(an empty answer)")
    said = ", ".join(
        f"{name} {score.value:.2f}" if score.value is not None else f"{name} unscored ({score.reason})"
        for name, score in list(one.scores.items())[:3]
    )
    st.caption(shown(said))
    if one.failure:
        st.badge(shown(one.failure), icon=":material/close:", color="red")
    usage = one.answer.usage
    cached = f" ({usage.cached_tokens:,.0f} of them cached)" if usage.cached_tokens else ""
    st.caption(f"{usage.input_tokens:,.0f} tokens read{cached}, {usage.output_tokens:,.0f} written")
    for passage in one.answer.retrieved:
        is_gold = passage.document_id in one.gold_document_ids
        mark = "the right document" if is_gold else "another document"
        with st.expander(f"{shown(passage.title or passage.document_id, 60)} · {mark}"):
            st.markdown(overlap_marks(passage.text, one.answer.text))
            score = f"similarity {passage.score:.2f}" if passage.score is not None else "no similarity"
            st.caption(f"{shown(passage.document_id)} · {score}{'' if passage.used else ' · did not fit the prompt'}")


st.title("Evidence")
the_client = service_client()
chosen = chosen_comparison(the_client)
finished = finished_comparison(the_client, chosen.id)
browse(the_client, finished, chosen.id)
st.header("Differences, question by question")
scale = scale_of(finished, finished.recommendation.metric)
if figure := differences(finished.differences, scale, finished.recommendation.margin):
    show_figure(figure, "evidence differences")
if pairs := differences_with_pivot(finished):
    show_table(difference_table(finished, pairs, "Paired differences of the arm named in the verdict"), "pairs")
st.header("Metrics")
show_table(quality_table(finished), "evidence quality")
if table := other_metrics_table(finished):
    show_table(table, "evidence other metrics")
if form := form_table(finished):
    st.header(FORM_HEADING)
    st.markdown("\n".join(f"- {shown(sentence)}" for sentence in form_sentences(finished)))
    show_table(form, "evidence form")
st.header("What people prefer")
show_tally(the_client, chosen.id)
st.page_link(
    "app_pages/playground.py", label="Vote", icon=":material/how_to_vote:", query_params={COMPARISON: chosen.id}
)
st.header("Waiting and tokens")
show_table(speed_table(finished), "evidence speed")
curves = finished.settings.get("training_curves") or {}
if figure := training_curves(curves):
    st.header("Training")
    show_figure(figure, "evidence training")
