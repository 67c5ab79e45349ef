import xml.etree.ElementTree as ET
from dataclasses import replace

from advisor.report.texts.junit import junit_report
from advisor.results.comparison import ArmRole, Verdict
from advisor.results.score import Score


def test_one_suite_a_candidate_and_one_case_a_question(comparison, records):
    root = ET.fromstring(junit_report(comparison, records))
    candidates = {arm.kind for arm in comparison.arms if arm.role is ArmRole.CANDIDATE}

    verdict, *suites = root
    assert {suite.get("name") for suite in suites} == candidates
    assert all(len(suite) == 260 == int(suite.get("tests")) for suite in suites)
    assert [case.get("name") for case in verdict] == [comparison.recommendation.verdict.value]


def test_an_arm_that_is_not_good_enough_fails_the_case_of_the_verdict(comparison, records):
    headline = "Not ready to ship: rag is the best of 5 arms and scores 19.0 points"
    poor = replace(comparison.recommendation, verdict=Verdict.NOT_READY, arm=None, headline=headline)
    root = ET.fromstring(junit_report(replace(comparison, recommendation=poor), ()))
    (failure,) = root.findall("testsuite[@name='verdict']/testcase/failure")
    assert (failure.get("type"), failure.get("message")) == ("not ready to ship", headline)
    undecided = replace(poor, verdict=Verdict.INSUFFICIENT_DATA)
    root = ET.fromstring(junit_report(replace(comparison, recommendation=undecided), ()))
    assert root.find("testsuite[@name='verdict']/testcase/skipped") is not None


def test_counts_match_cases_and_scores(comparison, records):
    root = ET.fromstring(junit_report(comparison, records))

    for suite in root[1:]:
        values = [record.scores["exact_match"].value for record in records if record.arm == suite.get("name")]
        assert (
            int(suite.get("failures"))
            == len(suite.findall(".//failure"))
            == sum(v is not None and v < 1 for v in values)
        )
        assert int(suite.get("errors")) == len(suite.findall(".//error")) == values.count(None)
    for count in ("tests", "failures", "errors", "skipped"):
        assert int(root.get(count)) == sum(int(suite.get(count)) for suite in root)


def test_failures_carry_their_class_and_the_answer(comparison, records):
    root = ET.fromstring(junit_report(comparison, records))
    failure = root.find("testsuite[@name='rag']//failure")

    assert failure.get("type") == "retrieved but ignored"
    assert failure.get("message") == "exact_match 0.0 points"
    assert "Accepted:" in failure.text
    assert "Answer:" in failure.text


def test_unscored_is_an_error_with_its_reason(comparison, records):
    root = ET.fromstring(junit_report(comparison, records))
    errors = root.findall(".//error")

    assert len(errors) == 3
    assert {error.get("message") for error in errors} == {"the judge gave no number"}


def test_a_metric_that_does_not_apply_is_skipped(comparison, records):
    other = replace(records[0], scores={"token_f1": Score(1.0)})
    root = ET.fromstring(junit_report(comparison, [other]))

    assert root.get("skipped") == "1"
    assert root.get("failures") == root.get("errors") == "0"


def test_hostile_text_stays_inside_its_attribute(hostile_comparison, hostile_records):
    root = ET.fromstring(junit_report(hostile_comparison, hostile_records))

    assert {element.tag for element in root.iter()} == {"testsuites", "testsuite", "testcase", "failure", "error"}
    assert int(root.get("tests")) == 5 * 260 + 1


def test_scripts_of_the_world_survive(comparison, records):
    text = junit_report(comparison, records)

    for part in ("စက်ကို ဘယ်လိုပြန်စရမလဲ။", "كيف أعيد تشغيل الجهاز؟", "👩‍🔧 🔥 naïve"):
        assert part in text
    assert text == junit_report(comparison, list(records))
