from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lm.local.forward import Forward
from lm.local.huggingface import load_huggingface_model
from lm.local.key_value_cache import KeysAndValues
from lm.local.prefill import Unread, cut_by_length, read_prompts


@given(st.lists(st.integers(1, 200), min_size=1, max_size=8), st.integers(0, 150))
def test_parts_are_cut_with_the_least_work(lengths: list[int], pass_tokens: int) -> None:
    lengths = sorted(lengths, reverse=True)

    def work(cuts: list[int]) -> int:
        return sum(lengths[a] * (b - a) + pass_tokens for a, b in pairwise([0, *cuts, len(lengths)]))

    parts = cut_by_length(lengths, pass_tokens)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(len(lengths)))
    every = [[i + 1 for i in range(len(lengths) - 1) if bits >> i & 1] for bits in range(2 ** (len(lengths) - 1))]
    assert work([part.stop for part in parts[:-1]]) == min(map(work, every))


@pytest.fixture(scope="module")
def forward(tiny_model_folder: Path) -> Forward:
    return load_huggingface_model(tiny_model_folder, name="tiny", device="cpu")._forward


@torch.inference_mode()
def test_prompts_behind_paths_of_any_length_give_the_logits_they_give_alone(forward: Forward) -> None:
    """With padding before the path, between path and prompt, and in parts of different widths."""
    generator = torch.Generator().manual_seed(0)

    def ids(n_tokens: int) -> list[int]:
        return torch.randint(5, 200, (n_tokens,), generator=generator).tolist()

    def run(path: tuple[KeysAndValues, ...], tokens: list[int]) -> KeysAndValues:
        return read_prompts(forward, [Unread(path, tokens)], 0).run(0, len(tokens))

    first, second = ids(9), ids(14)
    root = run((), first)
    child = run((root,), second)
    rests = [ids(n) for n in (150, 140, 40, 30, 3, 1)]
    paths = [((), []), ((root, child), first + second), ((root,), first)]
    prompts = [Unread(paths[i % 3][0], rest) for i, rest in enumerate(rests)]
    read = read_prompts(forward, prompts, 4)
    assert len(cut_by_length([len(rest) for rest in rests], 96)) > 1
    after = forward(torch.full((6, 1), 7), torch.cat([read.mask, torch.ones(6, 1, dtype=torch.long)], 1), read.cache)
    for i, rest in enumerate(rests):
        whole = torch.tensor([paths[i % 3][1] + rest + [7]])
        alone = forward.module(whole).logits[0]
        assert torch.allclose(read.logits[i], alone[-2], atol=1e-4)
        assert torch.allclose(after[i], alone[-1], atol=1e-4)
