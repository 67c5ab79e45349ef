import json
from pathlib import Path

import pytest

from advisor.data.dataset import Example, Split
from advisor.data.files import HUMAN_LABELS_FILE
from advisor.errors import DatasetError
from advisor.evidence.human_labels import HumanLabel, label_values, load_human_labels

EXAMPLES = (Example("q1", "How long?", ("two years",), (), "g", Split.TEST),)
ROW = {"question_id": "q1", "metric": "faithfulness", "answer": "two years", "passages": ["Two years."], "label": True}


def written(folder: Path, *rows: object) -> Path:
    (folder / HUMAN_LABELS_FILE).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_labels_are_read_as_answers_with_their_passages(tmp_path: Path) -> None:
    (label,) = load_human_labels(written(tmp_path, ROW), EXAMPLES)
    assert label == HumanLabel("q1", "faithfulness", "two years", ("Two years.",), True)
    answer = label.as_answer()
    assert (answer.text, answer.retrieved[0].text, answer.retrieved[0].used) == ("two years", "Two years.", True)


def test_labels_of_several_people_on_an_answer_are_a_share_and_pairs_speak_of_both_answers() -> None:
    right, wrong = (HumanLabel("q1", "human_correct", "two years", (), good) for good in (True, False))
    pairs = [
        HumanLabel("q1", "human_preference", "a", (), True, "b"),
        HumanLabel("q1", "human_preference", "b", (), None, "c"),
    ]
    assert label_values([right, right, wrong, *pairs]) == {
        ("q1", "human_correct", "two years"): pytest.approx(2 / 3),
        ("q1", "human_preference", "a"): 1.0,
        ("q1", "human_preference", "b"): 0.25,
        ("q1", "human_preference", "c"): 0.5,
    }


def test_a_data_set_without_labels_has_none(tmp_path: Path) -> None:
    assert load_human_labels(tmp_path, EXAMPLES) == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"question_id": "q9"}, "'q9', which questions.jsonl lacks"),
        ({"metric": "exact_match"}, "give one that a judge or people score: faithfulness"),
        ({"answer": 3}, '"answer" must be the text'),
        ({"metric": "human_preference"}, '"other" must be the text of the answer'),
        ({"metric": "human_preference", "other": "2", "label": 1}, '"label" must be true (better), false (worse) or'),
        ({"label": "yes"}, '"label" must be true'),
        ({"passages": "text"}, '"passages" must be a list'),
    ],
)
def test_an_unusable_label_is_told_by_line(tmp_path: Path, change: dict[str, object], told: str) -> None:
    with pytest.raises(DatasetError) as error:
        load_human_labels(written(tmp_path, ROW, ROW | change), EXAMPLES)
    assert f"{HUMAN_LABELS_FILE}:2:" in str(error.value)
    assert told in str(error.value)


def test_broken_lines_are_told_and_not_traced(tmp_path: Path) -> None:
    (tmp_path / HUMAN_LABELS_FILE).write_bytes(b'{"a"\n[1]\n\xff\n')
    with pytest.raises(DatasetError, match=r"(?s):1: not a JSON.*:2: not a JSON object.*:3: not a JSON"):
        load_human_labels(tmp_path, EXAMPLES)
