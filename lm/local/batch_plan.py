"""Which prompts are read together: alike in length, and no more than a budget of tokens holds."""

from collections.abc import Sequence

BATCH_TOKENS = 16_384
"""Positions of one batch, padding and room for answers included; bounds memory whatever the prompts are."""


def plan_batches(
    lengths: Sequence[int], *, max_output_tokens: int, batch_size: int, budget: int = BATCH_TOKENS
) -> list[list[int]]:
    """Indices of prompts by batch. The lengths alone decide, so that equal prompts are always batched alike.

    Longest first: what does not fit into memory fails at once rather than after most of the work.

    Args:
        lengths: Tokens of each prompt, all of which its row keeps in its cache.
        batch_size: Most prompts a batch.
        budget: Most positions a batch; a single prompt may exceed it.
    """
    batches: list[list[int]] = []
    widest = 0
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        has_room = batches and len(batches[-1]) < batch_size and (len(batches[-1]) + 1) * widest <= budget
        if has_room:
            batches[-1].append(i)
        else:
            batches.append([i])
            widest = lengths[i] + max_output_tokens
    return batches
