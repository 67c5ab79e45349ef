from advisor.report.table import Cell, Row, RowKind, Table
from ui.tables import table_frame


def test_what_is_said_of_a_row_stands_behind_its_figures() -> None:
    rows = (
        Row((Cell("rag", "smollm2 with 3 passages"), Cell("61.3", "n 90")), RowKind.RECOMMENDED),
        Row((Cell("majority"), Cell("11.7")), RowKind.REFERENCE),
    )
    frame = table_frame(Table("Quality", ("Arm", "overall"), rows))
    assert frame.to_dict("list") == {
        "Arm": ["★ rag", "◇ majority"],
        "overall": ["61.3 · n 90", "11.7"],
        "details": ["smollm2 with 3 passages", ""],
    }
    assert list(table_frame(Table("Quality", ("Arm", "overall"), rows[1:])).columns) == ["Arm", "overall"]
