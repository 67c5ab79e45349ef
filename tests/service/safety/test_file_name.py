import pytest

from service.safety.file_name import ending_problem, is_passed_over, name_problem, same_name
from tests.service.safety.hostile_names import hostile_names

HOSTILE = list(hostile_names())


def test_there_are_two_hundred_hostile_names() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 200


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_hostile_name_is_refused_with_a_reason(name: str) -> None:
    assert name_problem(name)


@pytest.mark.parametrize(
    "name",
    [
        *("documents.jsonl", "handbook/warranty.md", "a b/c (1).txt", "über.md", "e\u0301.md", "x-y_z.csv", "a.b.c.md"),
        *("လက်စွဲ/အာမခံ.md", "دليل/ضمان.md", "می\u200cخواهم.md", "手册.txt",
          "😀.md", "👩\u200d🔧.md", "conference.md", "comet/nullable.md"),
    ],
)  # fmt: skip
def test_a_name_of_any_script_is_taken(name: str) -> None:
    assert name_problem(name) == ""


@pytest.mark.parametrize("name", ["a.xlsm", "a.zip", "a.pkl", "a.py", "a.exe", "a", "a.xml"])
def test_other_kinds_of_files_are_refused_with_a_remedy(name: str) -> None:
    assert ending_problem(name)


@pytest.mark.parametrize("name", ["a.png", "a.doc", "a.XLS"])
def test_pictures_and_old_documents_do_not_refuse_the_others(name: str) -> None:
    assert ending_problem(name) == ""


@pytest.mark.parametrize(
    "name", ["a.md", "a.TXT", "a.jsonl", "a.csv", "dataset.toml", "schema.json", "a.PDF", "a.docx"]
)
def test_data_files_are_taken(name: str) -> None:
    assert ending_problem(name) == ""


@pytest.mark.parametrize(
    ("one", "other"), [("A.md", "a.md"), ("Straße.md", "STRASSE.md"), ("é.md", "e\u0301.md"), ("ﬁ.md", "fi.md")]
)
def test_names_that_some_systems_take_for_one_are_one(one: str, other: str) -> None:
    assert same_name(one) == same_name(other)


def test_what_desktops_leave_behind_is_passed_over() -> None:
    assert is_passed_over("__MACOSX/._a.md")
    assert is_passed_over("a/.DS_Store")
    assert not is_passed_over("a.md")
