"""The same question on both sides of a split, in the same words, in other words, or as another row of one case."""

from collections import defaultdict

from advisor.audit.check import MAX_ITEMS, Check
from advisor.comparison import AuditFinding, Severity
from advisor.dataset import Dataset, Example, Slice, Split, Task
from advisor.language import content_words
from advisor.normalisation import normalise
from advisor.splitting import asks_of_another, find_duplicates, find_leaks

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
            "Remove these questions from one side, or leave `split` out of questions.jsonl to have it made.",
            tuple(f"{leak.test_id} ~ {leak.train_id} ({leak.similarity:.0%} alike)" for leak in leaks[:MAX_ITEMS]),
        )
    ]


def _paraphrases(dataset: Dataset) -> list[AuditFinding]:
    """Facts that count as unseen and were asked in training under another group."""
    if dataset.card.task is not Task.QUESTION_ANSWERING:
        return []
    asked: dict[tuple[str, str], list[Example]] = defaultdict(list)
    for example in dataset.split(Split.TRAIN):
        for key in _facts(example):
            asked[key].append(example)
    pairs: list[str] = []
    for example in dataset.split(Split.TEST):
        if dataset.slice_of(example) is not Slice.UNSEEN_FACT:
            continue
        same_answer = (other for key in _facts(example) for other in asked.get(key, ()))
        twin = next((other for other in same_answer if _is_paraphrase(example, other)), None)
        if twin is not None:
            pairs.append(f"{example.id} ~ {twin.id}")
    if not pairs:
        return []
    return [
        AuditFinding(
            Check.LEAKED_PARAPHRASE,
            Severity.BLOCK,
            f"Test questions that count as new facts ask what a training question asks in other words: {len(pairs)}.",
            "Give all wordings of a fact one `group`: then they count as seen, which they are.",
            tuple(pairs[:MAX_ITEMS]),
        )
    ]


def _facts(example: Example) -> list[tuple[str, str]]:
    """(document, accepted answer): what two wordings of one fact share."""
    return [(document, normalise(answer)) for document in example.document_ids for answer in example.answers]


def _is_paraphrase(first: Example, second: Example) -> bool:
    ours, theirs = content_words(first.question), content_words(second.question)
    if not ours or not theirs or len(ours & theirs) < PARAPHRASE_OVERLAP * len(ours | theirs):
        return False
    return not asks_of_another(first, second)


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
