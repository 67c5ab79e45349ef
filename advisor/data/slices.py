"""How much each slice of the test set counts in the verdict."""

from collections import Counter
from collections.abc import Mapping, Sequence

from advisor.data.dataset import Slice
from advisor.errors import EvaluationError


def slice_weights(slices: Sequence[Slice], groups: Sequence[str], *, coverage: float) -> Mapping[str, float]:
    """Weights that add to 1: answerable questions by coverage, unanswerable ones by their share of the test groups.

    Args:
        slices: Slice of each test question.
        groups: Group of each, same order; a fact in three wordings counts once.
        coverage: Share of production questions whose fact a training question covers, in [0, 1].
    Raises:
        EvaluationError: coverage is no share, or all the weight falls on slices without questions.
    """
    return weights_of_groups(count_groups(slices, groups), coverage=coverage)


def count_groups(slices: Sequence[Slice], groups: Sequence[str]) -> Counter[Slice]:
    """Number of groups in each slice."""
    return Counter(part for part, _ in set(zip(slices, groups, strict=True)))


def weights_of_groups(n_groups: Mapping[Slice, int], *, coverage: float) -> Mapping[str, float]:
    """The same of groups that were counted before.

    Raises:
        EvaluationError: as `slice_weights` does.
    """
    if not 0 <= coverage <= 1:
        raise EvaluationError(f"coverage is {coverage}; it is a share of production questions, between 0 and 1")
    n_groups = Counter(n_groups)
    unanswerable = n_groups[Slice.UNANSWERABLE] / max(1, sum(n_groups.values()))
    weights = {
        Slice.SEEN_FACT: coverage * (1 - unanswerable),
        Slice.UNSEEN_FACT: (1 - coverage) * (1 - unanswerable),
        Slice.UNANSWERABLE: unanswerable,
        Slice.NEW_CASE: 1 - unanswerable,
    }
    present = {part: weight for part, weight in weights.items() if n_groups[part]}
    total = sum(present.values())
    if total <= 0:
        raise EvaluationError(
            f"coverage {coverage} puts all the weight on slices without test questions; add such questions or change it"
        )
    return {str(part): weight / total for part, weight in present.items()}
