"""What prompts have in common beyond the beginning of all: passages that several questions retrieve, for instance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

LEAST_RUN_TOKENS = 16
"""Shorter ones are chance likeness of questions, and each more run behind another is another forward pass."""

MOST_TOKENS = 8_192
"""Tokens of all runs of one tree; bounds the memory that their keys and values take beside those of the prompts."""


@dataclass(frozen=True, slots=True)
class Run:
    """Tokens that several prompts have in common.

    Attributes:
        before: Index of the run that they follow; None at the beginning of the prompts.
        ids: The tokens.
        first_reader: Index of the first of the prompts.
    """

    before: int | None
    ids: tuple[int, ...]
    first_reader: int


@dataclass(frozen=True, slots=True)
class PrefixTree:
    """Prompts as paths along runs, each run read once for all prompts that take it.

    Attributes:
        runs: Earlier ones before those that follow them.
        last: By prompt, index of the last run on its path; None where it shares nothing.
    """

    runs: tuple[Run, ...]
    last: tuple[int | None, ...]

    def path(self, run: int | None) -> list[int]:
        """Indices of the runs up to this one, in the order of the prompt."""
        indices: list[int] = []
        while run is not None:
            indices.append(run)
            run = self.runs[run].before
        return indices[::-1]

    def n_tokens(self, run: int | None) -> int:
        """Tokens of all runs up to this one."""
        return sum(len(self.runs[i].ids) for i in self.path(run))

    def levels(self) -> Iterator[list[int]]:
        """Indices of runs that can be read together, since all that they follow was read."""
        depths = [len(self.path(i)) for i in range(len(self.runs))]
        for depth in range(1, max(depths, default=0) + 1):
            yield [i for i, d in enumerate(depths) if d == depth]


def prefix_tree(prompts: Sequence[Sequence[int]], *, least_saved: int, most_tokens: int = MOST_TOKENS) -> PrefixTree:
    """The runs worth reading once. The prompts alone decide, whatever their order.

    At least one token of each prompt stays outside all runs: its answer follows a token that is read for it alone.

    Args:
        prompts: Token ids; none is empty.
        least_saved: Tokens that a run must save, over all its prompts.
        most_tokens: Tokens of all runs together.
    """
    runs: list[Run] = []
    last: list[int | None] = [None] * len(prompts)
    left = most_tokens
    # Groups of prompts that begin alike, with the last run that all of them take and where it ends.
    waiting: list[tuple[list[int], int | None, int]] = []
    order = sorted(range(len(prompts)), key=lambda i: tuple(prompts[i]))
    if len(order) > 1:
        waiting.append((order, None, 0))
    while waiting:
        group, before, ends_at = waiting.pop()
        n = n_common([prompts[group[0]], prompts[group[-1]]])
        n_new = min(n, min(len(prompts[i]) for i in group) - 1) - ends_at
        if n_new >= LEAST_RUN_TOKENS and n_new * (len(group) - 1) >= least_saved and n_new <= left:
            left -= n_new
            runs.append(Run(before, tuple(prompts[group[0]][ends_at : ends_at + n_new]), min(group)))
            before, ends_at = len(runs) - 1, ends_at + n_new
            for i in group:
                last[i] = before
        longer = [i for i in group if len(prompts[i]) > n]
        children = [list(alike) for _, alike in groupby(longer, key=lambda i: prompts[i][n])]
        waiting += [(alike, before, ends_at) for alike in reversed(children) if len(alike) > 1]
    return PrefixTree(tuple(runs), tuple(last))


def n_common(sequences: Sequence[Sequence[int]]) -> int:
    """How many tokens all sequences begin with: as many as the first and the last of them in order do."""
    if not sequences:
        return 0
    first, last = min(sequences, key=tuple), max(sequences, key=tuple)
    return next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
