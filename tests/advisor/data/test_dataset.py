"""What tuning may see, what a slice and a cluster are, and what the hash of a dataset depends on."""

from dataclasses import fields, replace

from advisor.data.dataset import Dataset, DatasetCard, Document, Example, Slice, Split, Task, TrainingView

CARD = DatasetCard("n", Task.QUESTION_ANSWERING, "en", "CC0-1.0", ("exact_match",), "d", "Answer.")


def example(name: str, split: Split, *, group: str = "", answers: tuple[str, ...] = ("a",)) -> Example:
    return Example(name, f"{name}?", answers, ("d1", "d2"), group or name, split)


DATASET = Dataset(
    CARD,
    (Document("d1", "t", "x"), Document("d2", "t", "y")),
    (
        example("a1", Split.TRAIN, group="a"),
        example("a2", Split.TEST, group="a"),
        example("b1", Split.TEST),
        example("c1", Split.VALIDATION),
        example("n1", Split.TEST, answers=()),
    ),
)


def test_what_tuning_sees_has_no_test_split() -> None:
    view = DATASET.training_view()
    assert {field.name for field in fields(TrainingView)} == {"card", "documents", "train", "validation"}
    assert [e.id for e in (*view.train, *view.validation)] == ["a1", "c1"]
    assert "a2" not in repr(view)


def test_slices_follow_what_training_asked() -> None:
    slices = {e.id: DATASET.slice_of(e) for e in DATASET.split(Split.TEST)}
    assert slices == {"a2": Slice.SEEN_FACT, "b1": Slice.UNSEEN_FACT, "n1": Slice.UNANSWERABLE}


def test_every_case_of_a_label_task_is_new() -> None:
    dataset = replace(DATASET, card=replace(CARD, task=Task.CLASSIFICATION))
    assert {dataset.slice_of(e) for e in dataset.split(Split.TEST)} == {Slice.NEW_CASE, Slice.UNANSWERABLE}


def test_questions_on_one_document_are_a_cluster_and_cases_that_share_documents_are_not() -> None:
    first = DATASET.examples[0]
    assert DATASET.cluster_of(first) == "d1"
    assert DATASET.cluster_of(replace(first, document_ids=())) == "a"
    assert replace(DATASET, card=replace(CARD, task=Task.EXTRACTION)).cluster_of(first) == "a"


def test_the_hash_changes_with_whatever_changes_answers_and_with_nothing_else() -> None:
    changed = [
        replace(DATASET, card=replace(CARD, instruction="Say.")),
        replace(DATASET, card=replace(CARD, max_output_tokens=5)),
        replace(DATASET, documents=DATASET.documents[:1]),
        replace(DATASET, examples=DATASET.examples[1:]),
        replace(DATASET, examples=(replace(DATASET.examples[0], split=Split.TEST), *DATASET.examples[1:])),
    ]
    hashes = {DATASET.content_hash, *(dataset.content_hash for dataset in changed)}
    assert len(hashes) == 6
    assert replace(DATASET, card=replace(CARD, description="other")).content_hash == DATASET.content_hash
