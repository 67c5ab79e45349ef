from dataclasses import replace
from typing import Any

from advisor.report.sections.retrieval_sweep import SWEEP, sweep_sentences, sweep_table
from advisor.report.table import RowKind
from advisor.results.comparison import Comparison

DENSE: dict[str, Any] = {
    "embedder": "minilm",
    "retriever": "dense",
    "chunk_tokens": 128,
    "overlap_tokens": 0,
    "top_k": 3,
    "passage_order": "best-first",
}
HYBRID = DENSE | {"retriever": "hybrid", "overlap_tokens": 32, "top_k": 1}
OUTCOME = {
    "chosen": HYBRID,
    "as_good": [DENSE, HYBRID],
    "tried": [
        DENSE | {"hit_rate": 0.7, "passage_tokens": 300.4, "score": 0.5, "n_asked": 40},
        HYBRID | {"hit_rate": 0.8, "passage_tokens": 100.0, "score": 0.6, "n_asked": 40},
        DENSE | {"top_k": 8, "hit_rate": 0.9, "passage_tokens": 900.0, "score": None, "n_asked": 0},
    ],
    "metric": "exact_match",
    "n_questions": 120,
    "cost": {"wall_s": 61.0, "embedding_tokens": 5000, "input_tokens": 20_000, "output_tokens": 400},
}


def test_the_choice_what_is_as_good_and_the_cost_are_told(comparison: Comparison) -> None:
    swept = replace(comparison, settings=comparison.settings | {SWEEP: OUTCOME})
    chosen, flat, cost = sweep_sentences(swept)
    assert chosen == (
        "Chosen on 120 validation questions: hybrid (minilm), 1 passage, of 128 tokens, 32 of them shared."
    )
    assert "as good on this data: dense (minilm), 3 passages, best first, of 128 tokens." in flat
    assert "5,000 embedded tokens" in cost


def test_the_table_has_the_answered_settings_first_and_marks_the_chosen(comparison: Comparison) -> None:
    table = sweep_table(replace(comparison, settings=comparison.settings | {SWEEP: OUTCOME}))
    assert table is not None
    assert [row.kind for row in table.rows] == [RowKind.RECOMMENDED, RowKind.PLAIN, RowKind.PLAIN]
    assert [row.cells[4].text for row in table.rows] == ["40", "40", "0"]


def test_without_a_sweep_there_is_nothing_to_tell(comparison: Comparison) -> None:
    assert (sweep_sentences(comparison), sweep_table(comparison)) == ((), None)
