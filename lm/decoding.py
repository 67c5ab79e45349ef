"""From prompts to answer tokens: one loop for batches and single prompts, free and constrained."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from lm.key_value_cache import KeysAndValues, empty_cache, is_plain, start_cache


class Form(Protocol):
    """What an answer may still become; one object a row. `lm.answer_grammar` makes them."""

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
        end_ids: Tokens that end an answer. pad_id: fills rows up.
        temperature: 0 is greedy; above it tokens are drawn with torch's random generator.
        is_ended: Whether the tokens of an answer so far end it by their text.
    """

    max_output_tokens: int
    temperature: float
    end_ids: frozenset[int]
    pad_id: int
    is_ended: Callable[[list[int]], bool]


@dataclass(slots=True)
class _Row:
    """One prompt on its way. `unread`: tokens that the next forward pass reads."""

    unread: list[int]
    form: Form | None
    output: list[int] = field(default_factory=list)
    is_done: bool = False


class Forward:
    """A module's forward pass that gives the logits after the last token, whatever a family's own forward takes."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.is_plain = is_plain(module.config)
        names = inspect.signature(module.forward).parameters
        self._takes_positions = "position_ids" in names
        self._takes_logits_to_keep = "logits_to_keep" in names
        self._cache_name = "cache_params" if "cache_params" in names else "past_key_values"

    def __call__(self, ids: Tensor, mask: Tensor, cache: Any) -> Tensor:
        """Logits after the last position.

        Args:
            ids: (batch, new). mask: (batch, read before + new), 0 on padding. cache: gets the new tokens too.
        Returns:
            (batch, vocabulary).
        """
        options: dict[str, Any] = {self._cache_name: cache}
        if self._takes_positions:
            options["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        if self._takes_logits_to_keep:
            # An index makes a whole copy of the last states. Of a mere slice of them, and weights without gradients as
            # adapters leave them, torch copies the output layer's weights once a row (seconds for 32 rows).
            options["logits_to_keep"] = torch.tensor([ids.shape[1] - 1], device=ids.device)
        logits: Tensor = self.module(input_ids=ids, attention_mask=mask, use_cache=True, **options).logits
        return logits[:, -1]


def decode(
    forward: Forward,
    prompts: Sequence[list[int]],
    rules: DecodingRules,
    *,
    beginning: KeysAndValues = (),
    forms: Sequence[Form] = (),
    on_token: Callable[[int], None] | None = None,
) -> list[list[int]]:
    """Answer tokens of each prompt, its end token included if it came to one.

    Tokens that a form forces are not predicted: they are read together with the next that is free. Rows that have ended
    leave the batch once they are half of it; of models whose cache is not plain they stay.

    Args:
        prompts: Token ids, without the beginning that all share; none is empty.
        beginning: Keys and values of that beginning; only for models whose cache is plain.
        forms: What each answer is held to; empty leaves all free.
        on_token: Told the tokens of the only prompt as they come; what it raises ends decoding.
    """
    device = forward.module.device
    rows = [_Row(list(ids), forms[i] if forms else None) for i, ids in enumerate(prompts)]
    outputs = [row.output for row in rows]
    n_shared = beginning[0][0].shape[-2] if beginning else 0
    n_positions = n_shared + max(map(len, prompts)) + rules.max_output_tokens
    if beginning:
        cache = start_cache(beginning, len(rows), n_positions)
    else:
        cache = empty_cache(forward.module.config, n_positions)
    mask = torch.ones((len(rows), n_shared), dtype=torch.long, device=device)  # (batch, read)
    for row in rows:
        _go_on(row, [], forward.is_plain, rules, on_token)
    while left := [i for i, row in enumerate(rows) if not row.is_done]:
        if forward.is_plain and len(left) <= len(rows) // 2:
            chosen = torch.tensor(left, device=device)
            cache.batch_select_indices(chosen)
            mask, rows = mask[chosen], [rows[i] for i in left]
        ids, new_mask = _unread(rows, rules.pad_id, device)
        mask = torch.cat([mask, new_mask], dim=1)
        logits = forward(ids, mask, cache).float()  # (batch, vocabulary)
        for row, row_logits in zip(rows, logits, strict=True):
            if row.form is not None and not row.is_done:
                row.form.allow(row_logits)
        for row, token in zip(rows, _choose(logits, rules.temperature), strict=True):
            row.unread = []
            if not row.is_done:
                if row.form is not None and token not in rules.end_ids:
                    row.form.take(token)
                _go_on(row, [token], forward.is_plain, rules, on_token)
    return outputs


def _unread(rows: Sequence[_Row], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Unread tokens of all rows, padded on the left, and their mask; rows that are done read padding alone."""
    unread = [[] if row.is_done else row.unread for row in rows]
    width = max(map(len, unread))
    ids = [[pad_id] * (width - len(tokens)) + tokens for tokens in unread]
    mask = [[0] * (width - len(tokens)) + [1] * len(tokens) for tokens in unread]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


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
