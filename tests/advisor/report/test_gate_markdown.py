import re
import xml.etree.ElementTree as ET

from advisor.gate.baseline import GatedComparison
from advisor.gate.check import GateCheck, GateVerdict
from advisor.gate.gate import GateOutcome, evaluate_gate
from advisor.gate.rules import GateRules, Threshold
from advisor.report.texts.gate_junit import failed_gate_junit, gate_junit
from advisor.report.texts.gate_markdown import COMMENT_LIMIT, failed_gate_markdown, gate_markdown
from advisor.results.comparison import Comparison, QuestionRecord


def outcome_of(comparison: Comparison, records: list[QuestionRecord]) -> GateOutcome:
    thresholds = tuple(Threshold("exact_match", arm, at_least=limit) for arm in ("rag", "base") for limit in (0.1, 0.9))
    return evaluate_gate(
        GateRules((*thresholds, Threshold("exact_match", "none", at_least=0.1))), GatedComparison(comparison, records)
    )


def test_the_gate_comes_first_then_the_verdict_and_the_rest_is_folded(
    comparison: Comparison, records: list[QuestionRecord]
) -> None:
    text = gate_markdown(outcome_of(comparison, records), comparison, records)
    assert text.startswith("# ❌ Gate failed: 2 of 5 checks")
    assert text.index("| ❌ fail |") < text.index("| ⚠️ cannot compare |") < text.index("| ✅ pass |")
    assert text.index("| ✅ pass |") < text.index("**Verdict (") < text.index("### Why") < text.index("<details>")
    assert text.count("<details>") == text.count("</details>") > 5
    assert len(re.findall(r"^## ", text, re.MULTILINE)) == 1
    assert "<summary>Quality</summary>\n\n" in text


def test_it_fits_into_a_comment_however_much_there_is(comparison: Comparison, records: list[QuestionRecord]) -> None:
    check = GateCheck("name" * 100, GateVerdict.FAIL, "reason " * 500)
    outcome = GateOutcome(GateVerdict.FAIL, "headline " * 500, (check,) * 200, ("note " * 300,) * 5, "id", None)
    many = [record for record in records for _ in range(20)]
    text = gate_markdown(outcome, comparison, many)
    assert len(text) < COMMENT_LIMIT
    assert "more checks are in gate.json" in text
    assert text.count("<details>") == text.count("</details>")


def test_text_of_others_stays_text() -> None:
    hostile = "<img src=x> @everyone | [x](y) ](z)\n# heading"
    outcome = GateOutcome(
        GateVerdict.FAIL, hostile, (GateCheck(hostile, GateVerdict.FAIL, hostile),), (hostile,), "id", None
    )
    from advisor.report.texts.gate_markdown import _gate

    text = _gate(outcome) + failed_gate_markdown(hostile)
    assert "<img" not in text
    assert "@everyone" not in text
    assert "\n# heading" not in text


def test_junit_has_one_case_a_check(comparison: Comparison, records: list[QuestionRecord]) -> None:
    suites = ET.fromstring(gate_junit(outcome_of(comparison, records)))
    assert {name: suites.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "5",
        "failures": "2",
        "errors": "1",
    }
    failure = suites.find("testsuite/testcase/failure")
    assert failure is not None
    assert "at least 90.0 is asked" in (failure.text or "")


def test_what_could_not_be_compared_is_an_error_in_junit() -> None:
    suites = ET.fromstring(failed_gate_junit("the dataset is missing \x00"))
    assert suites.get("errors") == "1"
