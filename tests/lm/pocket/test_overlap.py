import json
from pathlib import Path

from lm.pocket.overlap import dataset_texts, runs, shared


def test_a_shared_run_of_eight_words_is_found(tmp_path: Path) -> None:
    copied = "You said: one two three, four five six seven eight!"
    (tmp_path / "documents.jsonl").write_text(json.dumps({"id": "a", "text": copied, "more": ["x y"]}) + "\n")
    n_compared, hits = shared(dataset_texts(tmp_path), runs("one two three four five six seven eight nine"))
    assert (n_compared, hits) == (1, [copied])


def test_seven_words_are_not_enough(tmp_path: Path) -> None:
    assert not runs("one two three four five six seven")
