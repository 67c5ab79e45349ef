"""The evidence behind a verdict, question by question."""

import streamlit as st

from advisor.evidence.failure import NEXT_STEPS
from advisor.report.arms import candidates
from advisor.report.sections.economics import speed_table
from advisor.report.sections.form_gains import FORM_HEADING, form_sentences, form_table
from advisor.report.sections.models import MODELS_HEADING, model_tables
from advisor.report.sections.quality import difference_table, differences_with_pivot, other_metrics_table, quality_table
from advisor.report.sections.tuning import tuning_tables
from advisor.results.comparison import Comparison
from advisor.results.quantities import scale_of
from service.contract.client import ServiceClient
from service.contract.schemas import QuestionGrid, ResultItem
from ui.address import COMPARISON, chosen_comparison
from ui.comparison.answer_matrix import NO_REFERENCE, matrix_row, show_matrix
from ui.comparison.finished import finished_comparison
from ui.comparison.overlap import overlap_marks
from ui.comparison.votes import show_tally
from ui.connection import cache_owner, guarded, service_client
from ui.copying import offer_copies
from ui.counted import counted
from ui.figures import show_figure, training_curves
from ui.last_resort import last_resort
from ui.tables import show_table
from ui.untrusted import shown

_PAGE_QUESTIONS = 50
# Two fields stand side by side on a phone.
_FILTER_PX = 170
_ANY = "any failure"
_ALL, _DIFFERING = "all", "arms disagree"
_MOVES = (("Previous question", "k", -1), ("Next question", "j", 1))


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
    since: str | None,
    offset: int,
) -> QuestionGrid:
    return _client.list_questions(
        comparison_id,
        arm=arm,
        failure=failure,
        part=part,
        contains=contains,
        differing=differing,
        since=since,
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
    owner = cache_owner()
    with guarded("The questions could not be read"):
        whole = _questions(client, comparison_id, owner, None, None, None, None, False, None, 0)
        baselines = [one["name"] for one in client.list_baselines() if one["comparison_id"] != comparison_id]
    filters = st.container(horizontal=True)
    arm = filters.selectbox(
        "Arm", whole.arms, index=None, placeholder="any arm", key="arm", bind="query-params", width=_FILTER_PX
    )
    failure = filters.selectbox(
        "Wrong because",
        [_ANY, *whole.failures],
        index=None,
        placeholder="right or wrong",
        key="failure",
        bind="query-params",
        width=_FILTER_PX,
    )
    part = filters.selectbox(
        "Slice",
        [str(one) for one in whole.slices],
        index=None,
        placeholder="all slices",
        key="slice",
        bind="query-params",
        width=_FILTER_PX,
    )
    since_words = {f"changed since {name}": name for name in baselines}
    view = filters.selectbox(
        "Show",
        [_DIFFERING, *since_words],
        index=None,
        placeholder=_ALL,
        key="show",
        bind="query-params",
        width=_FILTER_PX,
        help="Where arms score differently, or where a score is not that of a baseline; Reports & CI sets one.",
    )
    contains = filters.text_input(
        "Search", key="search", placeholder="any text", max_chars=200, bind="query-params", width=_FILTER_PX
    )
    wanted = (
        arm,
        "any" if failure == _ANY else failure,
        part,
        contains or None,
        view == _DIFFERING,
        since_words.get(view or ""),
    )
    # Among the questions of this filter; what is below the table moves it.
    place = f"evidence place {wanted}"
    at = int(st.session_state.get(place, 0))
    first = at - at % _PAGE_QUESTIONS
    with guarded("The questions could not be read"):
        page = _questions(client, comparison_id, owner, *wanted, first)
    scale = scale_of(comparison, page.metric)
    st.caption(
        f"{counted(page.total, 'question')} by {page.metric}. ✓ right, ✗ wrong, – declined, ? unscored; "
        "dotted words are in no right answer; ◇ is a reference. "
        "Click a row, or press j and k, to read all of it below."
    )
    if step := next((step for kind, step in NEXT_STEPS.items() if kind == failure), None):
        st.info(f"What usually helps: {step}.", icon=":material/lightbulb:")
    if not page.items:
        st.info("No question matches. Remove a filter.", icon=":material/filter_alt_off:")
        return
    chosen = page.items[min(at - first, len(page.items) - 1)]
    rows = [matrix_row(row, page.arms, scale) for row in page.items]
    of_candidates = {arm.id for arm in candidates(comparison)}
    names = [arm if arm in of_candidates else f"◇ {arm}" for arm in page.arms]
    turn(place, at, page.total)
    clicked = show_matrix(rows, names, opened=chosen.example_id, key="evidence matrix")
    ids = [row.example_id for row in page.items]
    if clicked in ids and clicked != chosen.example_id:
        st.session_state[place] = first + ids.index(clicked)
        st.rerun(scope="fragment")
    show_question(client, comparison_id, chosen.example_id)


def turn(place: str, at: int, total: int) -> None:
    """Buttons to the questions before and behind, and a field for the page."""
    row = st.container(horizontal=True, vertical_alignment="center")
    for label, letter, step in _MOVES:
        row.button(
            label,
            shortcut=letter,
            key=f"move {step}",
            disabled=not 0 <= at + step < total,
            on_click=_go,
            args=(place, at + step),
        )
    row.markdown(f"question {at + 1:,} of {total:,}", width="content")
    if (n_pages := -(-total // _PAGE_QUESTIONS)) > 1:
        row.markdown(f"· page, of {n_pages:,}:", width="content")
        page_key = f"page of {place}"
        st.session_state[page_key] = at // _PAGE_QUESTIONS + 1
        row.number_input(
            "Page",
            1,
            n_pages,
            key=page_key,
            width=130,
            label_visibility="collapsed",
            on_change=lambda: _go(place, (st.session_state[page_key] - 1) * _PAGE_QUESTIONS),
        )


def _go(place: str, at: int) -> None:
    st.session_state[place] = at


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
    st.text(f"Right answer: {' | '.join(first.references) or NO_REFERENCE}")
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
offer_copies()
st.header("Differences to the winner")
pairs = differences_with_pivot(finished)
if pairs:
    show_table(difference_table(finished, pairs, "Paired differences of the arm named in the verdict"), "pairs")
st.header("Metrics")
show_table(quality_table(finished), "evidence quality")
if table := other_metrics_table(finished):
    show_table(table, "evidence other metrics")
if models := model_tables(finished):
    st.header(MODELS_HEADING)
    for number, table in enumerate(models):
        show_table(table, f"evidence models {number}")
if form := form_table(finished):
    st.header(FORM_HEADING)
    st.markdown("\n".join(f"- {shown(sentence)}" for sentence in form_sentences(finished)))
    show_table(form, "evidence form")
st.header("What people prefer")
show_tally(the_client, chosen.id)
st.page_link(
    "app_pages/playground.py", label="Vote", icon=":material/how_to_vote:", query_params={COMPARISON: chosen.id}
)
st.header("Latency and tokens")
show_table(speed_table(finished), "evidence speed")
if figure := training_curves(finished):
    st.header("Training")
    show_figure(figure, "evidence training")
for number, table in enumerate(tuning_tables(finished)):
    show_table(table, f"evidence tuning {number}")
