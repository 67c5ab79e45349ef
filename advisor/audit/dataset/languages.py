"""Questions of another language than those tuning saw, or than the documents."""

from collections import Counter
from collections.abc import Sequence

from advisor.audit.check import Check
from advisor.data.dataset import Dataset, Split
from advisor.data.language import language_of
from advisor.results.comparison import AuditFinding, Severity

MAX_TEXTS = 300
MIN_TOLD = 10
SHARE_DIFFERENCE = 0.2
_STANDARD_ERRORS = 3.0


def audit_languages(dataset: Dataset) -> list[AuditFinding]:
    """One finding that names every language that is common on one side and not on the other."""
    test = [example.asked for example in dataset.split(Split.TEST)]
    train = [example.asked for example in dataset.split(Split.TRAIN)]
    documents = [document.text for document in dataset.documents]
    differences = [
        *_differences(test, train, "test questions", "training questions"),
        *_differences([*test, *train], documents, "questions", "documents"),
    ]
    if not differences:
        return []
    return [
        AuditFinding(
            Check.LANGUAGES,
            Severity.WARN,
            "Languages differ between what is asked and what is learnt or read.",
            "Split every language alike, or compare one language at a time; for documents of another language than the "
            "questions take an embedder and a model that know both.",
            tuple(differences),
        )
    ]


def _differences(first: Sequence[str], second: Sequence[str], first_name: str, second_name: str) -> list[str]:
    ours, theirs = _languages(first), _languages(second)
    n_ours, n_theirs = ours.total(), theirs.total()
    if min(n_ours, n_theirs) < MIN_TOLD:
        return []
    found = []
    for language in sorted(ours.keys() | theirs.keys()):
        a, b = ours[language] / n_ours, theirs[language] / n_theirs
        pooled = (ours[language] + theirs[language]) / (n_ours + n_theirs)
        standard_error = (pooled * (1 - pooled) * (1 / n_ours + 1 / n_theirs)) ** 0.5
        if abs(a - b) >= max(SHARE_DIFFERENCE, _STANDARD_ERRORS * standard_error):
            found.append(f"{language}: {a:.0%} of the {first_name}, {b:.0%} of the {second_name}")
    return found


def _languages(texts: Sequence[str]) -> Counter[str]:
    """Languages of at most `MAX_TEXTS` texts spread over all; those whose language is unclear are left out."""
    step = max(1, -(-len(texts) // MAX_TEXTS))
    return Counter(language for text in texts[::step] if (language := language_of(text)) is not None)
