"""`junit.xml`: failures where continuous integration shows them, one suite an arm and a case a question."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from advisor.report.arms import candidates
from advisor.report.sections.failures import UNCLASSIFIED, is_unscored, is_wrong, main_score
from advisor.report.texts.xml_text import legal_xml
from advisor.results.comparison import Comparison, QuestionRecord, Verdict
from advisor.results.quantities import clip, scale_of

_NAME_LIMIT = 160


def junit_report(comparison: Comparison, records: Sequence[QuestionRecord] = ()) -> str:
    """A suite with the verdict, and one for each candidate; references only give scale, so they neither pass nor fail.

    A score below full marks is a failure of the class found, an unscored answer an error, and a question to which the
    deciding metric does not apply is skipped.
    """
    suites = ET.Element(
        "testsuites", {"name": legal_xml(f"{comparison.card.name}: {comparison.recommendation.metric}")}
    )
    suites.append(_verdict(comparison))
    for arm in candidates(comparison):
        suites.append(_suite(comparison, arm.id, [record for record in records if record.arm == arm.id]))
    for count in ("tests", "failures", "errors", "skipped"):
        suites.set(count, str(sum(int(suite.attrib[count]) for suite in suites)))
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _verdict(comparison: Comparison) -> ET.Element:
    """One case: passed where an arm is named, failed where none is good enough, skipped where nothing can be said."""
    found = comparison.recommendation
    suite = ET.Element("testsuite", {"name": "verdict", "timestamp": legal_xml(comparison.created_at), "time": "0.000"})
    case = ET.SubElement(
        suite, "testcase", {"classname": "verdict", "name": legal_xml(found.verdict.value), "time": "0.000"}
    )
    if found.verdict is Verdict.NOT_READY:
        ET.SubElement(case, "failure", {"type": found.verdict.value, "message": legal_xml(found.headline)})
    elif found.arm is None:
        ET.SubElement(case, "skipped", {"message": legal_xml(found.headline)})
    _count(suite)
    return suite


def _count(suite: ET.Element) -> None:
    for count, path in (("tests", "testcase"), ("failures", "testcase/failure"), ("errors", "testcase/error")):
        suite.set(count, str(len(suite.findall(path))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))


def _suite(comparison: Comparison, kind: str, records: list[QuestionRecord]) -> ET.Element:
    suite = ET.Element(
        "testsuite",
        {
            "name": legal_xml(kind),
            "timestamp": legal_xml(comparison.created_at),
            "time": f"{sum(record.answer.usage.latency_s for record in records):.3f}",
        },
    )
    suite.extend(_case(comparison, record) for record in records)
    _count(suite)
    return suite


def _case(comparison: Comparison, record: QuestionRecord) -> ET.Element:
    metric = comparison.recommendation.metric
    case = ET.Element(
        "testcase",
        {
            "classname": legal_xml(f"{record.arm}.{record.slice.value}"),
            "name": legal_xml(f"{record.example_id}: {clip(' '.join(record.question.split()), _NAME_LIMIT)}"),
            "time": f"{record.answer.usage.latency_s:.3f}",
        },
    )
    if is_unscored(record, metric):
        problem = ET.SubElement(
            case, "error", {"type": "unscored", "message": legal_xml(record.scores[metric].reason) or "unscored"}
        )
        problem.text = _transcript(record)
    elif is_wrong(record, metric):
        scale = scale_of(comparison, metric)
        message = f"{metric} {scale.value(main_score(record, metric))} {scale.unit}"
        problem = ET.SubElement(
            case, "failure", {"type": legal_xml(record.failure) or UNCLASSIFIED, "message": legal_xml(message)}
        )
        problem.text = _transcript(record)
    elif main_score(record, metric) is None:
        ET.SubElement(case, "skipped", {"message": legal_xml(f"{metric} does not apply to this question")})
    return case


def _transcript(record: QuestionRecord) -> str:
    accepted = "\n  ".join(record.references) or "none, no document answers it"
    return legal_xml(f"Question: {record.question}\nAccepted:\n  {accepted}\nAnswer: {record.answer.text or '(empty)'}")
