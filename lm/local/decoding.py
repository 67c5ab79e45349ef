"""From prompts to answer tokens: one loop for batches and single prompts, free and constrained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from lm.local.forward import Forward
from lm.local.prefill import Unread, left_padded, read_prompts


class Form(Protocol):
    """What an answer may still become; one object a row. `lm.local.answer_grammar` makes them."""

    def allow(self, logits: Tensor) -> None:
        """Set the logits, (vocabulary,), of tokens that are not allowed to minus infinity."""
        ...

    def take(self, token: int) -> None:
        """Go on from a chosen token."""
        ...

    def take_forced(self) -> list[int]:
        """Go on from the tokens that alone are allowed next, and tell them."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether nothing but the end may follow."""
        ...


@dataclass(frozen=True, slots=True)
class DecodingRules:
    """What the loop needs besides the prompts.

    Attributes:
        end_ids: Tokens that end an answer.
        temperature: 0 is greedy; above it tokens are drawn with torch's random generator.
        is_ended: Whether the tokens of an answer so far end it by their text.
    """

    max_output_tokens: int
    temperature: float
    end_ids: frozenset[int]
    is_ended: Callable[[list[int]], bool]


@dataclass(slots=True)
class _Row:
    """One prompt on its way. `unread`: tokens that the next forward pass reads."""

    unread: list[int]
    form: Form | None
    output: list[int] = field(default_factory=list)
    is_done: bool = False


def decode(
    forward: Forward,
    prompts: Sequence[Unread],
    rules: DecodingRules,
    *,
    forms: Sequence[Form] = (),
    on_token: Callable[[int], None] | None = None,
) -> list[list[int]]:
    """Answer tokens of each prompt, its end token included if it came to one.

    Tokens that a form forces are not predicted: they are read together with the next that is free. Rows that have ended
    leave the batch once they are half of it; of models whose cache is not plain they stay.

    Args:
        forms: What each answer is held to; empty leaves all free.
        on_token: Told the tokens of the only prompt as they come; what it raises ends decoding.
    """
    all_rows = [_Row(list(prompt.ids), forms[i] if forms else None) for i, prompt in enumerate(prompts)]
    outputs = [row.output for row in all_rows]
    for row in all_rows:
        _go_on(row, [], forward.is_plain, rules, on_token)
    # Those that a form leaves nothing to choose are not even read.
    open_rows = [i for i, row in enumerate(all_rows) if not row.is_done]
    open_rows.sort(key=lambda i: -len(all_rows[i].unread))
    if not open_rows:
        return outputs
    rows = [all_rows[i] for i in open_rows]
    read = read_prompts(
        forward, [Unread(prompts[i].path, all_rows[i].unread) for i in open_rows], rules.max_output_tokens
    )
    cache, mask, logits = read.cache, read.mask, read.logits
    while True:
        _choose_next(rows, logits.float(), forward.is_plain, rules, on_token)
        left = [i for i, row in enumerate(rows) if not row.is_done]
        if not left:
            return outputs
        if forward.is_plain and len(left) <= len(rows) // 2:
            chosen = torch.tensor(left, device=mask.device)
            cache.batch_select_indices(chosen)
            mask, rows = mask[chosen], [rows[i] for i in left]
        unread = [[] if row.is_done else row.unread for row in rows]
        ids, new_mask = left_padded(unread, forward.pad_id, mask.device)
        mask = torch.cat([mask, new_mask], dim=1)
        logits = forward(ids, mask, cache)  # (batch, vocabulary)


def _choose_next(
    rows: Sequence[_Row],
    logits: Tensor,
    skips_forced: bool,
    rules: DecodingRules,
    on_token: Callable[[int], None] | None,
) -> None:
    """The next token of every row that is not done, and what it forces."""
    for row, row_logits in zip(rows, logits, strict=True):
        if row.form is not None and not row.is_done:
            row.form.allow(row_logits)
    for row, token in zip(rows, _choose(logits, rules.temperature), strict=True):
        row.unread = []
        if not row.is_done:
            if row.form is not None and token not in rules.end_ids:
                row.form.take(token)
            _go_on(row, [token], skips_forced, rules, on_token)


def _choose(logits: Tensor, temperature: float) -> list[int]:
    """The next token of each row, greedily or drawn."""
    if temperature <= 0:
        return [int(token) for token in logits.argmax(-1).tolist()]
    drawn = torch.multinomial(torch.softmax(logits / temperature, dim=-1), 1)
    return [int(token) for token in drawn.squeeze(1).tolist()]


def _go_on(
    row: _Row, tokens: list[int], skips_forced: bool, rules: DecodingRules, on_token: Callable[[int], None] | None
) -> None:
    """Add chosen tokens and those forced after them, up to the end of the answer."""
    is_end = bool(tokens) and tokens[-1] in rules.end_ids
    if row.form is not None and not is_end:
        if skips_forced:
            tokens = tokens + row.form.take_forced()
        if row.form.is_complete:
            tokens = [*tokens, min(rules.end_ids)] if rules.end_ids else tokens
    for token in tokens:
        row.output.append(token)
        row.unread.append(token)
        if on_token is not None:
            on_token(token)
        if token in rules.end_ids or rules.is_ended(row.output) or len(row.output) >= rules.max_output_tokens:
            row.is_done = True
            return
    row.is_done = row.form is not None and row.form.is_complete
