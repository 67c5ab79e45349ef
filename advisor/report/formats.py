"""Every report format by name. A new one is a function and a line here."""

from collections.abc import Callable, Mapping, Sequence

from advisor.report.texts.html import html_report
from advisor.report.texts.junit import junit_report
from advisor.report.texts.markdown import markdown_report
from advisor.results.comparison import Comparison, QuestionRecord
from advisor.results.json_report import json_report

ReportFunction = Callable[[Comparison, Sequence[QuestionRecord]], str]
"""A comparison and its question records (possibly none) to the text of a file. Pure."""

REPORT_FORMATS: Mapping[str, ReportFunction] = {
    "json": json_report,
    "md": markdown_report,
    "html": html_report,
    "xml": junit_report,
}

REPORT_FILES: Mapping[str, str] = {
    "json": "report.json",
    "md": "report.md",
    "html": "report.html",
    "xml": "junit.xml",
}
