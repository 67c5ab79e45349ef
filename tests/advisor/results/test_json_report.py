import json
import math
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import EvaluationError
from advisor.results.comparison import (
    BreakEven,
    Comparison,
    ConstraintOutcome,
    Flip,
    FlipMap,
    FlipPoint,
    Interval,
    NetValue,
)
from advisor.results.json_report import SCHEMA_VERSION, json_report, read_comparison


def test_a_comparison_comes_back_equal(comparison):
    assert read_comparison(json_report(comparison)) == comparison


def test_hostile_text_comes_back_equal(hostile_comparison):
    text = json_report(hostile_comparison)

    assert read_comparison(text) == hostile_comparison
    text.encode("utf-8")


def test_what_would_change_the_verdict_comes_back_equal(comparison):
    interval = Interval(1.0, 0.5, 1.5)
    full = replace(
        comparison,
        break_evens=(BreakEven("rag", "base", None, 10.0, None, "base", "base"),),
        net_values=(NetValue("rag", interval, interval),),
        constraints=(ConstraintOutcome("rag", "max_p95_latency_s", None, 1.0, None, "unknown"),),
        flips=(Flip("coverage", None, FlipPoint(0.2, None), None, 0.0, 1.0, "note"),),
        flip_map=FlipMap("x", (1.0, 2.0), 1.0, "y", (0.5,), 0.5, (("rag", None),)),
    )
    assert read_comparison(json_report(full)) == full


def test_a_report_from_before_these_fields_loads(old_comparison):
    content = json.loads(json_report(old_comparison))
    for name in ("break_evens", "net_values", "constraints", "flips", "flip_map"):
        del content[name]
    cost_fields = ("serve_interval", "monthly_interval", "fixed_usd_per_month", "index_usd", "training_usd")
    cost_fields += ("evaluation_usd", "merged_serve_usd_per_query")
    for arm in content["arms"]:
        for name in cost_fields if arm["cost"] else ():
            del arm["cost"][name]
    assert read_comparison(json.dumps(content)) == old_comparison


@given(
    estimate=st.floats(allow_nan=False, allow_infinity=False),
    reason=st.text(),
    share=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)),
)
def test_any_number_and_text_come_back_exactly(comparison, estimate, reason, share):
    arm = comparison.arms[0]
    metric = replace(arm.metrics[0], interval=Interval(estimate, estimate, estimate))
    changed = replace(
        comparison,
        arms=(replace(arm, metrics=(metric,)),),
        recommendation=replace(comparison.recommendation, reasons=(reason,), probability_best=share),
    )
    text = json_report(changed)

    assert read_comparison(text) == changed
    text.encode("utf-8")


def test_every_field_is_in_the_file(comparison):
    content = json.loads(json_report(comparison))

    assert content["schema_version"] == SCHEMA_VERSION
    assert set(content) == {"schema_version"} | {field.name for field in fields(Comparison)}
    assert content["arms"][2]["cost"]["serve_usd_per_query"] == comparison.arms[2].cost.serve_usd_per_query


def test_not_a_number_is_written_as_null(comparison):
    arm = replace(comparison.arms[0], throughput_per_s=math.nan)
    text = json_report(replace(comparison, arms=(arm,), settings={"loss": math.inf}))

    content = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert content["arms"][0]["throughput_per_s"] is None
    assert content["settings"]["loss"] is None
    assert math.isnan(read_comparison(text).arms[0].throughput_per_s)


def test_a_setting_without_json_form_is_refused_by_name(comparison):
    with pytest.raises(EvaluationError, match=r"settings\.tuning\.where is a set"):
        json_report(replace(comparison, settings={"tuning": {"where": {1}}}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: c.pop("model"), "model is missing"),
        (
            lambda c: c["arms"][1].update(throughput_per_s="fast"),
            r"arms\[1\]\.throughput_per_s is 'fast', expected a n",
        ),
        (lambda c: c["arms"][1].update(role="judge"), r"arms\[1\]\.role is 'judge', expected one of 'candidate'"),
        (lambda c: c.update(findings={}), "findings is dict, expected a list"),
        (lambda c: c.update(schema_version=99), "schema_version is 99"),
        (lambda c: c.pop("schema_version"), "no schema_version"),
    ],
)
def test_a_damaged_report_is_refused_by_place(comparison, damage, message):
    content = json.loads(json_report(comparison))
    damage(content)

    with pytest.raises(EvaluationError, match=f"^old.json: .*{message}"):
        read_comparison(json.dumps(content), "old.json")


def test_text_that_is_not_json_is_refused_by_line(comparison):
    with pytest.raises(EvaluationError, match="report.json, line 1: not JSON"):
        read_comparison(json_report(comparison)[:1] + "oops")


def test_keys_of_later_versions_are_ignored(comparison):
    content = json.loads(json_report(comparison)) | {"sensitivity": [1]}

    assert read_comparison(json.dumps(content)) == comparison
