from dataclasses import replace

from advisor.report.sections.tuning import tuning_tables
from advisor.report.texts.html import html_report
from advisor.report.texts.markdown import markdown_report
from advisor.results.comparison import Comparison, TrialSummary, TuningSummary
from advisor.results.json_report import json_report, read_comparison

TRIALS = (
    TrialSummary(1e-3, 16, 0.0, 8, 3, 0.5, 3, False, False, 60.0),
    TrialSummary(4e-3, 32, 0.1, 16, 5, 0.75, 4, False, True, 90.0),
    TrialSummary(2e-4, 4, 0.0, 8, 6, 0.25, 1, True, False, 20.0),
    TrialSummary(9e-3, 64, 0.0, 4, 6, None, 0, False, False, 5.0),
)
TUNING = TuningSummary(
    method="lora",
    learning_rate=4e-3,
    r=32,
    lora_dropout=0.1,
    batch_size=16,
    n_epochs=4,
    precision="bfloat16",
    n_trained=4_900_000,
    n_parameters=140_000_000,
    peak_memory_bytes=1_500_000_000,
    n_bytes=19_600_000,
    seconds=90.0,
    n_tokens=45_000,
    trials=TRIALS,
)


def tuned(comparison: Comparison, *kinds: str) -> Comparison:
    return replace(
        comparison, arms=tuple(replace(arm, tuning=TUNING if arm.kind in kinds else None) for arm in comparison.arms)
    )


def test_what_training_took_is_told_with_its_units(comparison: Comparison) -> None:
    (table, _) = tuning_tables(tuned(comparison, "hybrid"))
    (only,) = table.rows
    texts = [cell.text for cell in only.cells[1:]]
    assert texts == ["0.004", "32", "16", "4", "90.0 s", "500", "1.5 GB", "4,900,000", "19.6 MB"]
    assert [cell.detail for cell in only.cells if cell.detail] == ["lora, bfloat16", "dropout 0.1", "3.5 %"]


def test_every_trial_is_told_and_the_chosen_one_set_off(comparison: Comparison) -> None:
    (_, search) = tuning_tables(tuned(comparison, "hybrid"))
    assert [row.cells[0].detail for row in search.rows] == ["", "chosen", "pruned", ""]
    assert [row.cells[6].text for row in search.rows] == ["50 %", "75 %", "25 %", "diverged"]
    assert search.rows[2].cells[5].text == "1 of 6"


def test_arms_that_share_a_search_show_it_once(comparison: Comparison) -> None:
    kinds = [arm.kind for arm in comparison.arms][:2]
    tables = tuning_tables(tuned(comparison, *kinds))
    assert len(tables) == 2
    assert all(kind in tables[1].caption for kind in kinds)


def test_reports_carry_the_trainings_and_read_them_back(comparison: Comparison) -> None:
    whole = tuned(comparison, "hybrid")
    assert "Search for a recipe" in markdown_report(whole, ())
    assert "Search for a recipe" in html_report(whole, ())
    assert read_comparison(json_report(whole)) == whole
    assert tuning_tables(tuned(comparison)) == ()
