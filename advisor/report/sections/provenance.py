"""Where the figures come from: settings, hashes, versions and prices, as rows of name and value."""

from collections.abc import Iterator, Mapping
from typing import Any

from advisor.report.table import Table, row
from advisor.results.comparison import Comparison
from advisor.results.plain_data import to_json, to_plain
from advisor.results.quantities import MISSING, count, percent, scale_of, seconds

CURVES_SETTING = "training_curves"
"""Key of `Comparison.settings` that holds loss curves; they are drawn, not listed."""


def provenance_tables(comparison: Comparison) -> tuple[Table, ...]:
    """Run, settings, hashes and versions."""
    tables = (
        _pairs("Run", _run_facts(comparison)),
        _pairs("Settings", dict(_flat(comparison.settings))),
        _pairs("Hashes", dict(comparison.hashes)),
        _pairs("Versions", dict(comparison.versions)),
    )
    return tuple(table for table in tables if table.rows)


def _run_facts(comparison: Comparison) -> dict[str, str]:
    recommendation, card = comparison.recommendation, comparison.card
    scale = scale_of(comparison, recommendation.metric)
    return {
        "Comparison": comparison.id,
        "Created": comparison.created_at,
        "Dataset": f"{card.name} ({card.task.value}, {card.language}, licence {card.licence})",
        "Dataset hash": comparison.dataset_hash,
        "Documents": count(comparison.n_documents),
        "Questions by split": _sizes(comparison.split_sizes),
        "Test questions by slice": _sizes(comparison.slice_sizes),
        "Model": comparison.model,
        "Computed in": comparison.dtype or MISSING,
        "Deciding metric": recommendation.metric,
        "Margin": f"{scale.value(recommendation.margin)} {scale.unit}",
        "Coverage": percent(recommendation.coverage),
        "Prices as of": comparison.prices_as_of or MISSING,
        "Prices source": comparison.prices_source or MISSING,
        "Time to compute": seconds(comparison.wall_s),
    }


def _sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count(size)}" for name, size in sizes.items()) or MISSING


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if not prefix and key == CURVES_SETTING:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _setting(value)


def _setting(value: Any) -> str:
    if value is None:
        return MISSING
    return value if isinstance(value, str) else to_json(to_plain(value))


def _pairs(caption: str, pairs: Mapping[str, str]) -> Table:
    return Table(caption, ("Name", "Value"), tuple(row(name, value) for name, value in pairs.items()))
