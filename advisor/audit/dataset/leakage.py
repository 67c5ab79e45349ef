"""The same question on both sides of a split, in the same words, in other words, or as another row of one case."""

from collections import defaultdict

from advisor.audit.check import MAX_ITEMS, Check
from advisor.data.dataset import Dataset, Example, Slice, Split, Task
from advisor.data.language import content_words
from advisor.data.leaks import asks_of_another, find_duplicates, find_leaks
from advisor.data.normalisation import normalise
from advisor.results.comparison import AuditFinding, Severity

PARAPHRASE_OVERLAP = 0.5


def audit_leakage(dataset: Dataset) -> list[AuditFinding]:
    """Everything that lets an arm answer a test question from a training question without being said to."""
    return [*_wordings(dataset), *_paraphrases(dataset), *_groups(dataset), *_duplicates(dataset)]


def _wordings(dataset: Dataset) -> list[AuditFinding]:
    training = [*dataset.split(Split.TRAIN), *dataset.split(Split.VALIDATION)]
    leaks = find_leaks(training, dataset.split(Split.TEST))
    if not leaks:
        return []
    return [
        AuditFinding(
            Check.LEAKAGE,
            Severity.BLOCK,
            f"Test questions worded as training or validation questions, exactly or nearly: {len(leaks)}.",
            "Remove these questions from one side, or remove `split` from questions.jsonl to have it made.",
            tuple(f"{leak.test_id} ~ {leak.train_id} ({leak.similarity:.0%} alike)" for leak in leaks[:MAX_ITEMS]),
        )
    ]


def _paraphrases(dataset: Dataset) -> list[AuditFinding]:
    """Facts that count as unseen and were asked in training under another group."""
    if dataset.card.task is not Task.QUESTION_ANSWERING:
        return []
    train = dataset.split(Split.TRAIN)
    asked: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, example in enumerate(train):
        for key in _facts(example):
            asked[key].append(i)
    words = [content_words(example.asked) for example in train]
    pairs: list[str] = []
    for example in dataset.split(Split.TEST):
        if dataset.slice_of(example) is not Slice.UNSEEN_FACT:
            continue
        same_answer = [i for key in _facts(example) for i in asked.get(key, ())]
        ours = content_words(example.asked)
        alike = (i for i in same_answer if _mostly_shared(ours, words[i]))
        twin = next((i for i in alike if not asks_of_another(example, train[i])), None)
        if twin is not None:
            pairs.append(f"{example.id} ~ {train[twin].id}")
    if not pairs:
        return []
    return [
        AuditFinding(
            Check.LEAKED_PARAPHRASE,
            Severity.BLOCK,
            "Test questions that count as new facts ask what a training question asks in different words: "
            f"{len(pairs)}.",
            "Give all wordings of a fact one `group`: then they count as seen, which they are.",
            tuple(pairs[:MAX_ITEMS]),
        )
    ]


def _facts(example: Example) -> list[tuple[str, str]]:
    """(document, accepted answer): what two wordings of one fact share."""
    return [(document, normalise(answer)) for document in example.document_ids for answer in example.answers]


def _mostly_shared(ours: frozenset[str], theirs: frozenset[str]) -> bool:
    return bool(ours and theirs) and len(ours & theirs) >= PARAPHRASE_OVERLAP * len(ours | theirs)


def _groups(dataset: Dataset) -> list[AuditFinding]:
    """Cases of a label, record or text task with rows on both sides; facts are split so on purpose, as a slice."""
    if dataset.card.task is Task.QUESTION_ANSWERING:
        return []
    shared = sorted({e.group for e in dataset.split(Split.TEST)} & dataset.trained_groups)
    if not shared:
        return []
    return [
        AuditFinding(
            Check.LEAKED_GROUP,
            Severity.BLOCK,
            f"Cases (groups) with questions in both the training and the test split: {len(shared)}.",
            "Put all questions of a group on one side.",
            tuple(shared[:MAX_ITEMS]),
        )
    ]


def _duplicates(dataset: Dataset) -> list[AuditFinding]:
    duplicates = find_duplicates(dataset.examples)
    if not duplicates:
        return []
    return [
        AuditFinding(
            Check.DUPLICATES,
            Severity.WARN,
            f"Questions worded like another of the same split, which count twice: {len(duplicates)}.",
            "Remove one of each pair, or give both one `group`.",
            tuple(f"{first} = {second}" for first, second in duplicates[:MAX_ITEMS]),
        )
    ]
