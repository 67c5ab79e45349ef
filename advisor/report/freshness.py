"""`freshness.md`: what went stale when documents changed, and what made it right again."""

from collections.abc import Iterator

from advisor.decision.freshness import ArmState, Freshness, Part, Rate, Recovery, Refresh
from advisor.report.texts.markdown_text import inline
from advisor.results.quantities import MISSING, POINTS, count, seconds, unscored, usd

_DONE = {Refresh.NOTHING: "as built", Refresh.REINDEXED: "re-indexed", Refresh.RETUNED: "re-tuned"}
_RECOVERY = {
    Recovery.RIGHT_AGAIN: "as right as before the change",
    Recovery.NOT_SHOWN: "not shown to be as right as before the change",
    Recovery.WORSE: "less often right than before the change",
    Recovery.HARDLY_RIGHT: "hardly right on them before either",
}
NOTE = (
    "Means of the questions asked, each counted alike, in points of 100 with 95 % intervals by whole documents. "
    "Before: answers to the first edition. Old answer: it equals an answer of the first edition that no longer holds. "
    "Seconds and dollars are those of building again what the row names, the whole index or adapter."
)


def freshness_sentences(freshness: Freshness) -> tuple[str, ...]:
    """What a team should know of each arm."""
    return tuple(_sentence(freshness.states_of(arm)) for arm in freshness.arms)


def freshness_columns(freshness: Freshness) -> tuple[str, ...]:
    """Headings of `freshness_rows`, with the number of questions."""
    sizes = {part: _size(freshness, part) for part in (Part.CHANGED, Part.UNCHANGED)}
    return (
        "arm",
        f"changed (n={sizes[Part.CHANGED]}): right before",
        "right now",
        "old answer",
        f"unchanged (n={sizes[Part.UNCHANGED]}): right now",
        "seconds",
        "cost",
    )


def freshness_rows(freshness: Freshness) -> Iterator[tuple[str, ...]]:
    """An arm and a refresh a row."""
    for state in freshness.states:
        changed, unchanged = state.part(Part.CHANGED), state.part(Part.UNCHANGED)
        is_built = state.refresh is Refresh.NOTHING
        yield (
            state.arm if is_built else f"{state.arm}, {_done(state)}",
            _cell(changed.was_right if changed else None) if is_built else "",
            _cell(changed.is_right if changed else None),
            _cell(changed.is_stale if changed else None),
            _cell(unchanged.is_right if unchanged else None),
            "" if is_built else seconds(state.seconds),
            "" if is_built else (MISSING if state.usd is None else usd(state.usd)),
        )


def freshness_markdown(freshness: Freshness) -> str:
    """The report as GitHub-flavoured Markdown."""
    lines = [
        f"# {inline(freshness.dataset)}: after the documents changed",
        "",
        f"{count(freshness.n_facts)} facts changed in {count(freshness.n_documents)} documents. Asked again: the arms "
        f"of the comparison {inline(freshness.comparison)}, model {inline(freshness.model)}, "
        f"{inline(freshness.metric)}.",
        "",
        *(f"- {inline(sentence)}" for sentence in freshness_sentences(freshness)),
        "",
        f"| {' | '.join(map(inline, freshness_columns(freshness)))} |",
        "| --- " + "| --: " * (len(freshness_columns(freshness)) - 1) + "|",
        *(f"| {' | '.join(map(inline, row))} |" for row in freshness_rows(freshness)),
        "",
        NOTE,
        "",
    ]
    if any(state.part(Part.CHANGED_TRAINED) for state in freshness.states if state.refresh is Refresh.RETUNED):
        lines += ["## Changed facts that training asks for", "", *_trained(freshness), ""]
    lines += [
        f"Margin {POINTS.value(freshness.margin)} points; prices of {inline(freshness.prices_as_of)} "
        f"({inline(freshness.prices_source)}); later editions {freshness.revision_hash[:12]}; "
        f"{inline(freshness.created_at)}; {seconds(freshness.wall_s)}.",
        "",
    ]
    return "\n".join(lines)


def _trained(freshness: Freshness) -> Iterator[str]:
    yield f"Of these, tuning again can learn the new answer (n={_size(freshness, Part.CHANGED_TRAINED)})."
    yield ""
    yield "| arm | right before | right now | old answer |"
    yield "| --- | --: | --: | --: |"
    for state in freshness.states:
        rates = state.part(Part.CHANGED_TRAINED)
        if rates is not None:
            name = state.arm if state.refresh is Refresh.NOTHING else f"{state.arm}, {_done(state)}"
            before = _cell(rates.was_right) if state.refresh is Refresh.NOTHING else ""
            yield f"| {inline(name)} | {before} | {_cell(rates.is_right)} | {_cell(rates.is_stale)} |"


def _sentence(states: tuple[ArmState, ...]) -> str:
    built, *refreshed = states
    changed = built.part(Part.CHANGED)
    if changed is None:
        return f"{built.arm} was asked no changed question."
    text = (
        f"{built.arm}, as built, gives the old answer to {_cell(changed.is_stale)} % of the changed questions; it was "
        f"right on {_cell(changed.was_right)} % of them before"
    )
    for state in refreshed:
        rates = state.part(Part.CHANGED)
        price = f", {usd(state.usd)}" if state.usd is not None else ""
        now = f"right on {_cell(rates.is_right)} %" if rates else MISSING
        text += f". {_done(state).capitalize()} ({seconds(state.seconds)}{price}): {now}, {_RECOVERY[state.recovery]}"
    if not refreshed:
        text += ", and there is nothing to refresh"
    return text + "."


def _done(state: ArmState) -> str:
    if state.refresh is Refresh.RETUNED and state.index_s:
        return "re-indexed and re-tuned"
    return _DONE[state.refresh]


def _cell(rate: Rate | None) -> str:
    if rate is None or rate.interval is None:
        return MISSING
    left_out = unscored(rate.n_unscored)
    return POINTS.interval(rate.interval) + (f" ({left_out})" if left_out else "")


def _size(freshness: Freshness, part: Part) -> int:
    sizes = [rates.is_stale.n for state in freshness.states if (rates := state.part(part))]
    return max(sizes, default=0)
