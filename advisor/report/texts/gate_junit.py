"""`junit.xml` of a gate: one case a check, so that CI shows as failed what failed the gate and nothing else."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from advisor.gate.check import GateCheck, GateVerdict
from advisor.gate.gate import GateOutcome
from advisor.report.texts.xml_text import legal_xml

_TAGS = {GateVerdict.FAIL: "failure", GateVerdict.CANNOT_COMPARE: "error"}


def gate_junit(outcome: GateOutcome) -> str:
    """A failing check is a failure; one that cannot compare is an error."""
    return _document(outcome.checks)


def failed_gate_junit(message: str) -> str:
    """The same where there is no comparison to report."""
    return _document([GateCheck("comparison", GateVerdict.CANNOT_COMPARE, message)])


def _document(checks: Sequence[GateCheck]) -> str:
    suite = ET.Element("testsuite", {"name": "tuning-fork gate", "tests": str(len(checks)), "time": "0"})
    for check in checks:
        case = ET.SubElement(suite, "testcase", {"classname": "gate", "name": legal_xml(check.name), "time": "0"})
        if (tag := _TAGS.get(check.verdict)) is not None:
            problem = ET.SubElement(case, tag, {"type": check.verdict.value, "message": legal_xml(check.reason)})
            problem.text = legal_xml(check.reason)
        else:
            ET.SubElement(case, "system-out").text = legal_xml(check.reason)
    for count, tag in (("failures", "failure"), ("errors", "error")):
        suite.set(count, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("skipped", "0")
    suites = ET.Element("testsuites", {name: suite.attrib[name] for name in ("tests", "failures", "errors", "skipped")})
    suites.append(suite)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"
