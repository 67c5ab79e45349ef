"""How settings of retrieval were chosen: what was taken, what is as good, and what choosing cost."""

from collections.abc import Mapping
from typing import Any

from advisor.report.table import Row, RowKind, Table, row
from advisor.results.comparison import Comparison
from advisor.results.quantities import MISSING, count, percent, rounded, seconds

SWEEP = "retrieval_sweep"
"""Where a report has, among its settings, what a sweep tried and chose."""
SWEEP_HEADING = "How retrieval was chosen"
_MAX_ROWS = 12


def sweep_sentences(comparison: Comparison) -> tuple[str, ...]:
    """What was chosen and what it cost; empty without a sweep."""
    sweep = comparison.settings.get(SWEEP)
    if sweep is None:
        return ()
    others = [_named(one) for one in sweep["as_good"] if one != sweep["chosen"]]
    flat = f"Within one standard error of the best, so as good on this data: {'; '.join(others)}." if others else ""
    cost = sweep["cost"]
    told = (
        f"Chosen on {count(sweep['n_questions'])} validation questions: {_named(sweep['chosen'])}.",
        flat,
        f"Choosing took {seconds(cost['wall_s'])}, {count(cost['embedding_tokens'])} embedded tokens, and "
        f"{count(cost['input_tokens'])} tokens read and {count(cost['output_tokens'])} written by the model. It is no "
        "part of any arm's cost.",
    )
    return tuple(sentence for sentence in told if sentence)


def sweep_table(comparison: Comparison) -> Table | None:
    """The settings that answered questions, then the best of the others; None without a sweep."""
    sweep = comparison.settings.get(SWEEP)
    if sweep is None:
        return None
    asked = [one for one in sweep["tried"] if one["n_asked"]]
    others = sorted((one for one in sweep["tried"] if not one["n_asked"]), key=lambda one: -one["hit_rate"])
    shown = [*sorted(asked, key=lambda one: -one["score"]), *others][:_MAX_ROWS]
    return Table(
        caption=f"{len(shown)} of {count(len(sweep['tried']))} settings of retrieval",
        columns=("Settings", "Answer in the passages", "Tokens of passages", f"Answers ({sweep['metric']})", "Asked"),
        rows=tuple(_row(one, sweep["chosen"]) for one in shown),
        note="On validation questions alone. Settings without a score were judged by their passages and not asked.",
    )


def _row(one: Mapping[str, Any], chosen: Mapping[str, Any]) -> Row:
    is_chosen = all(one[name] == value for name, value in chosen.items())
    score = rounded(one["score"]) if one["n_asked"] else MISSING
    return row(
        _named({name: one[name] for name in chosen}) + (" (chosen)" if is_chosen else ""),
        percent(one["hit_rate"]),
        count(round(one["passage_tokens"])),
        score,
        count(one["n_asked"]),
        kind=RowKind.RECOMMENDED if is_chosen else RowKind.PLAIN,
    )


def _named(one: Mapping[str, Any]) -> str:
    overlap = f", {one['overlap_tokens']} of them shared" if one["overlap_tokens"] else ""
    passages = (
        "1 passage" if one["top_k"] == 1 else f"{one['top_k']} passages, {one['passage_order'].replace('-', ' ')}"
    )
    return f"{one['retriever']} ({one['embedder']}), {passages}, of {one['chunk_tokens']} tokens{overlap}"
