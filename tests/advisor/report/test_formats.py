import pytest

from advisor.report.formats import REPORT_FILES, REPORT_FORMATS


def test_every_format_has_a_file():
    assert set(REPORT_FORMATS) == set(REPORT_FILES) == {"json", "md", "html", "xml"}


@pytest.mark.parametrize("name", REPORT_FORMATS)
def test_every_format_reports_with_and_without_records(name, comparison, records):
    assert REPORT_FORMATS[name](comparison, records).endswith("\n")
    assert REPORT_FORMATS[name](comparison, ()).encode("utf-8")
