import io
import json
import re
import zipfile

import pytest
from streamlit.testing.v1 import AppTest

from service.contract.comparison_state import ComparisonState
from service.run.progress import silent
from service.run.side_run import work_on
from service.store.comparisons.comparison_store import find_comparison
from service.store.tables import QUESTION_RUN
from tests.rag.test_made_questions import DOCUMENTS
from tests.service.api.conftest import Api
from tests.service.run.test_question_run import scripted
from tests.ui.conftest import OpenPage, Populated, healthy, press, said
from tests.ui.fake_client import AWAY, FakeClient

HANDBOOK = "# အာမခံ 😀\nThe warranty lasts 24 months. ضمان\n"
TABLE = "question,answer,document\n" + "".join(f"How long is warranty {i}?,24 months,a\n" for i in range(8))
HOSTILE = "<img src=x onerror=alert(1)> [x](javascript:alert(1)) ![y](http://evil.example)"


def upload(page: AppTest, **files: str) -> AppTest:
    """Choose files in the upload form; `_` in a name stands for a dot."""
    chosen = [(name.replace("_", "."), text.encode(), "text/plain") for name, text in files.items()]
    return healthy(page.file_uploader[0].set_value(chosen).run())


@pytest.fixture
def own(workshop: Api) -> FakeClient:
    """The client of a service on which a test may store what it likes."""
    return FakeClient(workshop.app)


def stored(client: FakeClient, page: AppTest) -> str:
    version = page.query_params["dataset"]
    return version[0] if isinstance(version, list) else version


def test_texts_and_a_table_are_checked_then_stored(open_page: OpenPage, own: FakeClient) -> None:
    page = upload(open_page("data", own), a_md=HANDBOOK, q_csv=TABLE)
    assert "It can be used: 1 document;" in said(page)
    assert not own.asked("upload_dataset")
    page.text_input(key="upload name").set_value("ဒေတာ 😀")
    page = press(healthy(page.run()), "Store this dataset")
    version = stored(own, page)
    assert own.real.get_dataset(version).name == "ဒေတာ 😀"
    document = own.real.list_documents(version).items[0]
    assert (document.title, document.text) == ("အာမခံ 😀", HANDBOOK.strip())
    assert len(own.asked("validate_dataset")) == 2


def test_problems_are_told_by_file_and_line_and_nothing_is_stored(open_page: OpenPage, own: FakeClient) -> None:
    page = upload(open_page("data", own), a_md=HANDBOOK, q_csv="question,answer\nOne?,1\nTwo?,\n")
    assert any("It cannot be used yet" in one.value for one in page.error)
    problems = next(one.value for one in page.dataframe if "what is wrong, and what to do" in one.value)
    assert list(problems.iloc[0])[:2] == ["q.csv", "3"]
    assert "the answer is empty; give one" in problems.iloc[0, 2]
    assert next(one for one in page.button if one.label == "Store this dataset").disabled


def test_the_visitor_says_which_column_is_the_answer(open_page: OpenPage, own: FakeClient) -> None:
    rows = TABLE.replace("question,answer,document", "Frage;Lösung;document").replace(",", ";").splitlines()
    table = "\n".join(f"{row};x" if i else f"{row};note" for i, row in enumerate(rows)) + "\n"
    page = upload(open_page("data", own), a_md=HANDBOOK, q_csv=table)
    assert any("It cannot be used yet" in one.value for one in page.error)
    page.selectbox(key="column question").set_value("Frage")
    page.selectbox(key="column answer").set_value("Lösung")
    page = healthy(page.run())
    assert "Left out: note." in said(page)
    version = stored(own, press(page, "Store this dataset"))
    first = own.real.list_examples(version).items[0]
    assert first.answers == ["24 months"] and first.document_ids == ["a"]


FAULTY = "question,answer,document,split\n" + "".join(
    f"{question},24 months,a,{split}\n"
    for question, split in [
        ("How long is the cover?", "train"),
        ("How long is the cover?", "test"),
        ("When does the warranty end?", "test"),
        ("When does the warranty end?", "test"),
        ("Who wrote it?", "validation"),
    ]
)


@pytest.fixture
def faulty(open_page: OpenPage, own: FakeClient) -> AppTest:
    """A stored dataset with a leaked question and a duplicate."""
    page = press(upload(open_page("data", own), a_md=HANDBOOK, q_csv=FAULTY), "Store this dataset")
    assert "Fix it here" in said(page)
    return page


def rows_of(client: FakeClient, page: AppTest) -> list[dict[str, object]]:
    content = client.real.get_dataset_files(stored(client, page))["questions.jsonl"]
    return [json.loads(line) for line in content.splitlines()]


def case(page: AppTest, check: str) -> AppTest:
    field = next(one for one in page.selectbox if one.label.startswith("Case (of"))
    return healthy(field.select(next(option for option in field.options if option.startswith(check))).run())


def test_a_leaked_question_is_removed_where_it_is_found(own: FakeClient, faulty: AppTest) -> None:
    before = stored(own, faulty)
    page = case(faulty, "leakage")
    # Both texts side by side, and no group would mend a leak of wording.
    assert [one.value for one in page.text].count("How long is the cover?") == 2
    assert "They ask the same: one group" not in said(page)
    page = press(page, "Remove this question")
    assert stored(own, page) != before
    assert len(rows_of(own, page)) == 4
    assert not any(finding.check == "leakage" for finding in own.real.get_dataset(stored(own, page)).findings)


def test_two_wordings_become_one_group(own: FakeClient, faulty: AppTest) -> None:
    page = press(case(faulty, "duplicate"), "They ask the same: one group")
    groups = [row.get("group", row["id"]) for row in rows_of(own, page)]
    assert groups[2] == groups[3] and len(set(groups)) == 4


def test_a_question_is_marked_as_one_that_no_document_answers(own: FakeClient, faulty: AppTest) -> None:
    page = press(case(faulty, "duplicate"), "No document answers this")
    marked = [row for row in rows_of(own, page) if row.get("answerable") is False]
    assert [(row["question"], row["answers"], row["document_ids"]) for row in marked] == [
        ("When does the warranty end?", [], [])
    ]


def test_a_card_says_name_and_task(open_page: OpenPage, own: FakeClient) -> None:
    card = 'name = "carded"\ntask = "question-answering"\nlanguage = "en"\nlicence = "CC0"\ndescription = "d"\n'
    page = upload(open_page("data", own), a_md=HANDBOOK, q_csv=TABLE, dataset_toml=card)
    assert not any(one.key == "upload name" for one in page.text_input)
    assert own.real.get_dataset(stored(own, press(page, "Store this dataset"))).name == "carded"


def test_one_archive_is_a_data_set(open_page: OpenPage, own: FakeClient) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("handbook/a.md", HANDBOOK)
        archive.writestr("handbook/q.csv", TABLE.replace("24", "36"))
    page = open_page("data", own)
    page.file_uploader[0].set_value([("handbook.zip", packed.getvalue(), "application/zip")])
    page = healthy(page.run())
    assert page.text_input(key="upload name").value == "handbook"
    assert own.real.get_dataset(stored(own, press(page, "Store this dataset"))).n_documents == 1


def test_a_folder_is_taken_without_what_is_no_data(open_page: OpenPage, own: FakeClient) -> None:
    page = open_page("data", own)
    page.button_group(key="upload kind").set_value("A folder")
    page = healthy(page.run())
    names = {"shop/a.md": HANDBOOK, "shop/q.csv": TABLE, "shop/.git/config.txt": "x", "shop/logo.png": "x"}
    page.file_uploader[0].set_value([(name, text.encode(), "text/plain") for name, text in names.items()])
    page = healthy(page.run())
    assert "It can be used" in said(page)
    assert set(own.asked("validate_dataset")[-1].args[0]) == {"shop/a.md", "shop/q.csv"}
    assert page.text_input(key="upload name").value == "shop"


def test_questions_can_be_written_where_only_documents_were_uploaded(open_page: OpenPage, own: FakeClient) -> None:
    page = upload(open_page("data", own), a_md=HANDBOOK)
    assert "Write the questions" in said(page)
    rows = [{"question": f"How long, {i}?", "answer": "24 months", "document": "a"} for i in range(8)]
    page.session_state["written questions"] = {"edited_rows": {}, "added_rows": rows, "deleted_rows": []}
    page = press(healthy(page.run()), "Store this dataset")
    assert own.real.list_examples(stored(own, page)).total == 8


def test_a_service_that_is_away_while_files_are_checked(open_page: OpenPage, own: FakeClient) -> None:
    page = open_page("data", own)
    own.replies["validate_dataset"] = AWAY
    page = upload(page, a_md=HANDBOOK, q_csv=TABLE)
    assert any("The files could not be checked" in one.value for one in page.error)
    del own.replies["validate_dataset"]
    assert "It can be used" in said(press(page, "Try again"))


def test_the_overview_shows_split_and_leakage(open_page: OpenPage, client: FakeClient, populated: Populated) -> None:
    page = open_page("data", client, dataset=populated.dataset)
    text = said(page)
    assert (
        "50 of 99 test questions ask about a fact or case that training asks about too, 49 about something new" in text
    )
    parts = next(one.value for one in page.dataframe if "part" in one.value)
    assert set(parts["part"]) >= {"train", "test · seen-fact", "test · unseen-fact", "test · unanswerable"}
    assert parts["questions"].sum() == sum(client.real.get_dataset(populated.dataset).split_sizes.values())


def test_questions_are_filtered(open_page: OpenPage, client: FakeClient, populated: Populated) -> None:
    page = open_page("data", client, dataset=populated.dataset, view="Questions")
    assert "159 questions. Choose a row" in said(page)
    page.selectbox(key="split").set_value("test")
    page.selectbox(key="slice").set_value("unanswerable")
    page.text_input(key="search").set_value("painted 3")
    page = healthy(page.run())
    asked = client.asked("list_examples")[-1].options
    assert (asked["split"], asked["part"], asked["contains"]) == ("test", "unanswerable", "painted 3")
    grid = next(one.value for one in page.dataframe if "right answers" in one.value)
    assert list(grid["question"]) == ["Who painted 3?"]
    open_page("data", client, dataset=populated.dataset, view="Questions", split="test", slice="seen-fact", search="7")
    told = client.asked("list_examples")[-1].options
    assert (told["split"], told["part"], told["contains"]) == ("test", "seen-fact", "7")
    page.text_input(key="search").set_value("nothing like it")
    assert "Remove a filter" in said(healthy(page.run()))


def test_many_questions_are_paged(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("data", client, dataset="appliance-support", view="Questions")
    number = next(one for one in page.number_input if one.label.startswith("Page (of"))
    healthy(number.set_value(3).run())
    assert client.asked("list_examples")[-1].options["offset"] == 200


def test_documents_are_searched(open_page: OpenPage, client: FakeClient, populated: Populated) -> None:
    page = open_page("data", client, dataset=populated.dataset, view="Documents")
    assert "90 documents." in said(page)
    page = healthy(page.text_input(key="document text").set_value("coloured c17").run())
    assert "Thing 17 is coloured c17." in said(page)
    assert "1 document." in said(page)


def test_edited_questions_are_another_version(open_page: OpenPage, client: FakeClient, populated: Populated) -> None:
    old = client.real.get_dataset_files(populated.dataset)
    page = open_page("data", client, dataset=populated.dataset, view="Edit")
    assert next(one for one in page.button if one.label == "Save as a new version").disabled
    page.session_state[f"editor {populated.dataset}"] = {
        "edited_rows": {0: {"question": "ဘယ်အရောင်လဲ? 🎨"}},
        "added_rows": [{"question": "Added?", "answers": ["c0"], "answerable": True, "split": "test", "group": "g0"}],
        "deleted_rows": [1],
    }
    page = healthy(page.run())
    assert "save it before you go elsewhere" in said(page)
    page = press(page, "Save as a new version")
    version = stored(client, page)
    assert version != populated.dataset
    new = client.real.get_dataset_files(version)
    assert {name: content for name, content in new.items() if name != "questions.jsonl"} == {
        name: content for name, content in old.items() if name != "questions.jsonl"
    }
    before, after = ([json.loads(line) for line in files["questions.jsonl"].splitlines()] for files in (old, new))
    assert after[0] == {**before[0], "question": "ဘယ်အရောင်လဲ? 🎨"}
    assert after[1:-1] == before[2:]
    assert (after[-1]["question"], after[-1]["group"]) == ("Added?", "g0")
    assert client.real.get_dataset_files(populated.dataset) == old


def test_unfit_questions_are_told_by_line_and_nothing_is_stored(
    open_page: OpenPage, client: FakeClient, populated: Populated
) -> None:
    page = open_page("data", client, dataset=populated.dataset, view="Edit")
    page.session_state[f"editor {populated.dataset}"] = {"edited_rows": {1: {"document_ids": ["nope"]}}}
    page = press(healthy(page.run()), "Save as a new version")
    assert any("The questions could not be saved" in one.value for one in page.error)
    assert "questions.jsonl, line 2" in said(page)
    assert stored(client, page) == populated.dataset


def test_a_bundled_data_set_can_be_copied_and_not_changed(open_page: OpenPage, own: FakeClient) -> None:
    page = open_page("data", own, dataset="claims-to-json", view="Edit")
    page.session_state["editor claims-to-json"] = {"deleted_rows": [0]}
    copy = stored(own, press(healthy(page.run()), "Save as a new version"))
    assert not own.real.get_dataset(copy).bundled
    assert (
        own.real.get_dataset_files(copy)["schema.json"] == own.real.get_dataset_files("claims-to-json")["schema.json"]
    )
    page = open_page("data", own, dataset="claims-to-json")
    assert "never changes" in said(page)
    assert not {"Freeze it", "Delete it for good"} & {one.label for one in page.button}


def test_reviews_are_kept_in_a_new_version(open_page: OpenPage, client: FakeClient, populated: Populated) -> None:
    page = open_page("data", client, dataset=populated.dataset, view="Review")
    assert "Reviewed: 0 of" in said(page)
    assert "is coloured" in said(page)
    first = next(one.value for one in page.text if one.value.startswith("Question: "))
    note = next(one for one in page.text_input if one.label == "Note")
    note.set_value("အရောင် မှား 😀")
    page = press(healthy(page.run()), "Reject")
    assert first not in said(page)
    page = press(press(page, "Next"), "Accept")
    page = press(page, "Save as a new version (reviews: 2)")
    rows = [
        json.loads(line) for line in client.real.get_dataset_files(stored(client, page))["questions.jsonl"].splitlines()
    ]
    reviews = {f"Question: {row['question']}": row["review"] for row in rows if "review" in row}
    assert reviews.pop(first) == {"verdict": "wrong", "note": "အရောင် မှား 😀"}
    assert list(reviews.values()) == [{"verdict": "right"}]
    assert "Reviewed: 2 of" in said(page)


def test_the_queue_edits_rejects_and_freezes(open_page: OpenPage, own: FakeClient) -> None:
    table = TABLE.replace("document\n", "document,made_by\n").replace(",a\n", ",a,smollm2\n")
    page = press(upload(open_page("data", own), a_md=HANDBOOK + "q", q_csv=table), "Store this dataset")
    first = open_page("data", own, dataset=stored(own, page), view="Review")
    assert "Written by smollm2" in said(first)
    assert "Where it stands: …" in said(first)
    page = press(first, "Edit")
    next(one for one in page.text_area if one.label == "Question").set_value("ဘယ်လောက်ကြာလဲ?")
    next(one for one in page.text_area if one.label.startswith("Right answers")).set_value("24 months\n2 years\n")
    page = press(healthy(page.run()), "Keep and accept")
    page = press(page, "Reject")
    next(one for one in page.toggle if one.label.startswith("Freeze it")).set_value(True)
    page = press(healthy(page.run()), "Save as a new version (reviews: 2)")
    rows = rows_of(own, page)
    assert len(rows) == 7
    edited = next(row for row in rows if row["question"] == "ဘယ်လောက်ကြာလဲ?")
    assert edited["answers"] == ["24 months", "2 years"]
    assert (edited["made_by"], edited["review"]) == ("smollm2", {"verdict": "right"})
    assert own.real.get_dataset(stored(own, page)).frozen


def test_a_model_writes_questions_for_documents_alone(open_page: OpenPage, own: FakeClient, workshop: Api) -> None:
    chosen = [(f"{one.id}.md", f"# {one.title}\n\n{one.text}".encode(), "text/plain") for one in DOCUMENTS]
    page = healthy(open_page("data", own).file_uploader[0].set_value(chosen).run())
    page.button_group(key="written by").set_value("Let a model write them")
    page = healthy(page.run())
    next(one for one in page.number_input if one.label == "Facts to ask about").set_value(6)
    page = press(healthy(page.run()), "Write questions")
    assert "waits for its turn" in said(page)
    named = page.query_params["questions"]
    run_id = QUESTION_RUN + (named[0] if isinstance(named, list) else named)
    workshop.move(run_id, ComparisonState.RUNNING)
    run = find_comparison(workshop.engine, run_id)
    work_on(workshop.engine, workshop.context.directory, run, silent, scripted)
    page = healthy(page.run())
    assert "documents-questions: succeeded" in said(page)
    page = press(page, "Review them")
    assert "Question 1 of" in said(page)
    assert "Written by smollm2" in said(page)


def test_freezing_and_deleting(open_page: OpenPage, own: FakeClient) -> None:
    page = upload(open_page("data", own), a_md=HANDBOOK + "b", q_csv=TABLE)
    page = press(page, "Store this dataset")
    version = stored(own, page)
    page = press(page, "Delete it for good")
    assert version not in {one.version for one in own.real.list_datasets().items}
    page = press(upload(open_page("data", own), a_md=HANDBOOK + "c", q_csv=TABLE), "Store this dataset")
    assert "It is frozen: it cannot be deleted." in said(press(page, "Freeze it"))


def test_names_and_texts_are_not_live(open_page: OpenPage, own: FakeClient) -> None:
    table = f'question,answer,document\n"{HOSTILE}",{HOSTILE.replace(",", "")},a\n' + TABLE.split("\n", 1)[1]
    page = upload(open_page("data", own), a_md=f"# {HOSTILE}\n{HOSTILE}\n", q_csv=table)
    page.text_input(key="upload name").set_value("name ![y](x)")
    version = stored(own, press(healthy(page.run()), "Store this dataset"))
    for view in ("Overview", "Questions", "Documents", "Edit", "Review"):
        page = open_page("data", own, dataset=version, view=view)
        read_as_markdown = [
            one.value for one in (*page.markdown, *page.caption, *page.header, *page.info, *page.warning)
        ]
        read_as_markdown += [one.label for one in (*page.expander, *page.button)]
        for text in read_as_markdown:
            assert "<img" not in text
            assert not re.search(r"(?<!\\)\[[xy]\]\(", text)
