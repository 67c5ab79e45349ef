"""What prompts share is read once: the system turn, instruction and worked examples of an arm, passages of several."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lm.local.forward import Forward
from lm.local.key_value_cache import KeysAndValues
from lm.local.prefill import Unread, pass_tokens, read_prompts
from lm.local.prefix_tree import PrefixTree, n_common, prefix_tree

LEAST_SHARED_TOKENS = 8
"""Shorter beginnings cost more in bookkeeping than reading them again."""

KEPT_TOKENS = 16_384
"""Tokens of all beginnings kept, of the base and every adapter together; the one used longest ago goes first."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What a prompt has in common with others.

    Attributes:
        path: Keys and values of it, in the order of the prompt.
        n_tokens: Its tokens.
        n_cached: Those of them that were read for another prompt.
    """

    path: tuple[KeysAndValues, ...] = ()
    n_tokens: int = 0
    n_cached: int = 0


class SharedBeginnings:
    """Keys and values of beginnings already read, by adapter.

    Args:
        forward: Of the module whose cache is plain.
        ends_line: Whether a token ends a line.
    """

    def __init__(self, forward: Forward, ends_line: Callable[[int], bool]) -> None:
        self._forward = forward
        self._ends_line = ends_line
        self._kept: OrderedDict[tuple[str | None, tuple[int, ...]], KeysAndValues] = OrderedDict()
        self._latest: dict[str | None, list[int]] = {}

    def share(self, adapter: str | None, prompts: Sequence[list[int]]) -> list[Shared]:
        """What each of these prompts shares, read. The adapter is active.

        Beginnings of all are kept for the next call. Runs of some prompts are not: which prompts are read together, and
        with it the rounding of their answers, must not hang on what was asked before.
        """
        beginning = self.of(adapter, prompts)
        path: tuple[KeysAndValues, ...] = ()
        was_kept = False
        if beginning:
            kept, was_kept = self.read(adapter, beginning)
            path = (kept,)
        rests = [prompt[len(beginning) :] for prompt in prompts]
        if self._forward.can_share:
            tree = prefix_tree(rests, least_saved=pass_tokens(self._forward.module.device) // 2)
        else:
            tree = PrefixTree((), (None,) * len(prompts))
        runs = self._read_runs(tree, path)
        shared = []
        for i, last in enumerate(tree.last):
            taken = tree.path(last)
            n_new = sum(len(tree.runs[run].ids) for run in taken if tree.runs[run].first_reader == i)
            n_new += len(beginning) if i == 0 and not was_kept else 0
            n_tokens = len(beginning) + tree.n_tokens(last)
            shared.append(Shared(path + tuple(runs[run] for run in taken), n_tokens, n_tokens - n_new))
        return shared

    def _read_runs(self, tree: PrefixTree, path: tuple[KeysAndValues, ...]) -> dict[int, KeysAndValues]:
        runs: dict[int, KeysAndValues] = {}
        for level in tree.levels():
            longest_first = sorted(level, key=lambda i: -len(tree.runs[i].ids))
            behind = [path + tuple(runs[i] for i in tree.path(tree.runs[run].before)) for run in longest_first]
            unread = [Unread(before, tree.runs[run].ids) for before, run in zip(behind, longest_first, strict=True)]
            read = read_prompts(self._forward, unread, 0)
            runs |= {run: read.run(row, len(tree.runs[run].ids)) for row, run in enumerate(longest_first)}
        return runs

    def of(self, adapter: str | None, prompts: Sequence[list[int]]) -> tuple[int, ...]:
        """The beginning by which to read these prompts; empty where none pays.

        That of several prompts is what all of them begin with, up to the end of a line, so that it hangs on no chance
        likeness of the questions. A prompt alone begins with what is kept, or like the one that was alone before it.
        """
        if not self._forward.can_share:
            return ()
        if len(prompts) > 1:
            return self._whole_lines(prompts[0], _n_shared(prompts))
        prompt = prompts[0]
        kept = [ids for key, ids in self._kept if key == adapter and len(ids) < len(prompt)]
        fitting = [ids for ids in kept if tuple(prompt[: len(ids)]) == ids]
        before, self._latest[adapter] = self._latest.get(adapter), prompt
        if fitting:
            return max(fitting, key=len)
        return self._whole_lines(prompt, _n_shared([prompt, before])) if before else ()

    def read(self, adapter: str | None, ids: tuple[int, ...]) -> tuple[KeysAndValues, bool]:
        """Keys and values of a beginning, and whether they were there already. The adapter is active."""
        key = (adapter, ids)
        was_kept = key in self._kept
        if not was_kept:
            self._kept[key] = read_prompts(self._forward, [Unread((), ids)], 0).run(0, len(ids))
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(len(kept) for _, kept in self._kept) > KEPT_TOKENS:
            self._kept.popitem(last=False)
        return self._kept[key], was_kept

    def forget(self, adapter: str) -> None:
        """Let go of all that was read with an adapter."""
        self._latest.pop(adapter, None)
        for key in [key for key in self._kept if key[0] == adapter]:
            del self._kept[key]

    def _whole_lines(self, ids: Sequence[int], n_shared: int) -> tuple[int, ...]:
        by_line = next((n for n in range(n_shared, 0, -1) if self._ends_line(ids[n - 1])), 0)
        n = by_line if by_line >= LEAST_SHARED_TOKENS else n_shared
        return tuple(ids[:n]) if n >= LEAST_SHARED_TOKENS else ()


def _n_shared(prompts: Sequence[list[int]]) -> int:
    """How many first tokens are the same in all prompts; at least one token of each stays out of it."""
    return min(n_common(prompts), min(map(len, prompts)) - 1)
