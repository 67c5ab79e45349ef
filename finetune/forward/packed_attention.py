"""Attention over packed rows: each row sees the beginning they share and itself, and nothing else is computed.

A packed sequence is [shared beginning, own part of row 1, own part of row 2, ...]. A dense mask over it would be right
too, but costs the square of its length: on a CPU three to five times the time of what is computed here.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

NAME = "packed_rows"
"""The name transformers knows this attention by; models are given the layout as a keyword of that name."""


LENGTH_MULTIPLE = 16
"""Own parts are brought to a multiple of it: matrix kernels are made and kept for every shape that occurs."""


@dataclass(frozen=True, slots=True)
class PackedLayout:
    """Where the rows of a packed sequence lie; what comes behind the last one is padding.

    Attributes:
        n_shared: Tokens of the shared beginning; may be 0.
        own_lengths: Tokens of each row's own part, at least 1.
    """

    n_shared: int
    own_lengths: tuple[int, ...]
    _places: dict[tuple[int, int, torch.device], "_Places"] = field(default_factory=dict, repr=False, compare=False)

    @property
    def n_own(self) -> int:
        """Tokens of all own parts."""
        return sum(self.own_lengths)

    @property
    def longest(self) -> int:
        """Tokens of the longest own part."""
        return max(self.own_lengths)

    def places(self, n_groups: int, per_group: int, device: torch.device) -> "_Places":
        """Where everything lies for so many key heads; made once for all layers."""
        key = n_groups, per_group, device
        if key not in self._places:
            self._places[key] = _Places.of(self, *key)
        return self._places[key]


@dataclass(frozen=True, slots=True)
class _Places:
    """Flat indices, heads counted by key head; own parts are brought to one length, their last token repeated.

    Attributes:
        length: That length.
        own: (row, key head, length) into (token, key head): the own parts.
        seen: (row, key head, n_shared + length) into (token, key head): what a row sees.
        from_own: (own token, key head) into `own`.
        from_seen: (own token, key head) into `seen`.
        padding: The places in `own` that repeat a token.
        hidden_own: (length * heads per key head, n_shared + length) boolean: what an own token must not see.
        hidden_shared: (n_shared * heads per key head, n_shared) boolean: the same of the shared beginning.
    """

    length: int
    own: Tensor
    seen: Tensor
    from_own: Tensor
    from_seen: Tensor
    padding: Tensor
    hidden_own: Tensor
    hidden_shared: Tensor

    @classmethod
    def of(cls, layout: PackedLayout, n_groups: int, per_group: int, device: torch.device) -> "_Places":
        n_shared, length = layout.n_shared, -(-layout.longest // LENGTH_MULTIPLE) * LENGTH_MULTIPLE
        groups = torch.arange(n_groups)
        lengths = torch.tensor(layout.own_lengths)[:, None]  # (row, 1)
        slots = torch.arange(length).expand(len(lengths), -1)  # (row, length)
        own = n_shared + lengths.cumsum(0) - lengths + torch.minimum(slots, lengths - 1)
        seen = torch.cat([torch.arange(n_shared).expand(len(lengths), -1), own], dim=1)

        def places(chosen: Tensor, n_before: int) -> Tensor:
            rows, at = chosen.nonzero(as_tuple=True)
            first = (rows[:, None] * n_groups + groups) * (n_before + length)  # (chosen, key head)
            return (first + n_before + at[:, None]).flatten()

        def causal(n_own: int, n_before: int) -> Tensor:
            return torch.ones(n_own, n_before + n_own, dtype=torch.bool).triu(n_before + 1)

        indices = (
            (own[:, None] * n_groups + groups[:, None]).flatten(),
            (seen[:, None] * n_groups + groups[:, None]).flatten(),
            places(slots < lengths, 0),
            places(slots < lengths, n_shared),
            places(slots >= lengths, 0),
            causal(length, n_shared).repeat_interleave(per_group, dim=0),
            causal(n_shared, 0).repeat_interleave(per_group, dim=0),
        )
        return cls(length, *(index.to(device) for index in indices))


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed_rows: PackedLayout | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    position_bias: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it; the layout says what a mask would.

    Args:
        query: (1, heads, seq, head).
        key: (1, key heads, seq, head); heads are a multiple of key heads.
        value: (1, key heads, seq, value head).
    Returns:
        (1, seq, heads, value head), and None for the weights.
    Raises:
        ValueError: the model needs what is not computed here.
    """
    if packed_rows is None or softcap is not None or s_aux is not None or position_bias is not None:
        raise ValueError("packed attention computes plain attention over packed rows alone")
    if sliding_window is not None and sliding_window < packed_rows.n_shared + packed_rows.longest:
        raise ValueError("packed attention has no sliding window")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    dtype = value.dtype  # under autocast a rotary embedding may have widened the others
    by_token = [tensor[0].transpose(0, 1).to(dtype).contiguous() for tensor in (query, key, value)]
    attended: Tensor = _PackedAttention.apply(*by_token, packed_rows, scale, dropout)  # type: ignore[no-untyped-call]
    return attended[None], None


class _PackedAttention(torch.autograd.Function):
    """Own parts as one batch of (row, key head), the shared beginning as one of (key head).

    Written out, since autograd's way back through the same operations takes a third longer.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, layout: PackedLayout, scale: float, dropout: float
    ) -> Tensor:
        """(seq, heads, head), (seq, key heads, head), (seq, key heads, value head) to (seq, heads, value head)."""
        n_tokens, n_heads, _ = query.shape
        n_groups, n_shared = key.shape[1], layout.n_shared
        per_group = n_heads // n_groups
        places = layout.places(n_groups, per_group, query.device)
        batch = len(layout.own_lengths) * n_groups

        def gathered(tensor: Tensor, index: Tensor) -> Tensor:  # (batch, queries or seen, head)
            return tensor.view(n_tokens * n_groups, -1).index_select(0, index).view(batch, -1, tensor.shape[-1])

        own = gathered(query, places.own), gathered(key, places.seen), gathered(value, places.seen)
        shared = [_by_group(tensor[:n_shared], n_groups) for tensor in (query, key, value)]
        own_out, *own_weights = _attend(*own, hidden=places.hidden_own, scale=scale, dropout=dropout)
        shared_out, *shared_weights = _attend(*shared, hidden=places.hidden_shared, scale=scale, dropout=dropout)
        ctx.save_for_backward(*own, *own_weights, *shared, *shared_weights)
        ctx.layout, ctx.scale, ctx.shapes = layout, scale, (query.shape, key.shape, value.shape)
        own_out = own_out.reshape(batch * places.length, -1).index_select(0, places.from_own)
        own_out = own_out.view(layout.n_own, n_heads, -1)
        padding = own_out.new_zeros(n_tokens - n_shared - layout.n_own, *own_out.shape[1:])
        return torch.cat([_by_token(shared_out, n_shared, n_heads), own_out, padding])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of query, key and value; what repeats a token passes none on."""
        saved, layout = ctx.saved_tensors, ctx.layout
        own, shared = saved[: len(saved) // 2], saved[len(saved) // 2 :]
        query_shape, key_shape, value_shape = ctx.shapes
        n_tokens, n_heads, _ = query_shape
        n_groups, n_shared, n_rows = key_shape[1], layout.n_shared, len(layout.own_lengths)
        places = layout.places(n_groups, n_heads // n_groups, grad.device)

        own_grad = grad.reshape(n_tokens * n_groups, -1).index_select(0, places.own).index_fill_(0, places.padding, 0)
        own_grad = own_grad.view(n_rows * n_groups, -1, grad.shape[-1])
        shared_grad = _by_group(grad[:n_shared], n_groups)
        own_query, *own_seen = _attend_back(own_grad, *own, scale=ctx.scale)
        shared_query, *shared_seen = _attend_back(shared_grad, *shared, scale=ctx.scale)

        def whole(shared_part: Tensor, own_part: Tensor, shape: tuple[int, ...]) -> Tensor:
            padding = own_part.new_zeros(n_tokens - n_shared - layout.n_own, *shape[1:])
            return torch.cat([shared_part, own_part.view(-1, *shape[1:]), padding])

        own_query = own_query.reshape(n_rows * n_groups * places.length, -1).index_select(0, places.from_own)
        grads = [whole(_by_token(shared_query, n_shared, n_heads), own_query, query_shape)]
        for of_own, of_shared, shape in zip(own_seen, shared_seen, (key_shape, value_shape), strict=True):
            from_rows = of_own.view(n_rows, n_groups, -1, shape[-1])[:, :, :n_shared].sum(0)
            own_part = of_own.view(-1, shape[-1]).index_select(0, places.from_seen)
            grads.append(whole((of_shared + from_rows).transpose(0, 1), own_part, shape))
        return *grads, None, None, None


def _attend(
    query: Tensor, key: Tensor, value: Tensor, *, hidden: Tensor, scale: float, dropout: float
) -> tuple[Tensor, Tensor, Tensor | None]:
    """(batch, queries, head), (batch, seen, head) twice to (batch, queries, head), the weights, and the dropout."""
    scores = torch.baddbmm(query.new_zeros(()), query, key.transpose(1, 2), beta=0, alpha=scale)
    weights = torch.softmax(scores.masked_fill_(hidden, -torch.inf), dim=-1).to(query.dtype)
    if not dropout:
        return torch.bmm(weights, value), weights, None
    kept = torch.empty_like(weights).bernoulli_(1 - dropout).div_(1 - dropout)
    return torch.bmm(weights * kept, value), weights, kept


def _attend_back(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, weights: Tensor, kept: Tensor | None, *, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and value of `_attend`."""
    used = weights if kept is None else weights * kept
    of_used = torch.bmm(grad, value.transpose(1, 2))
    of_weights = of_used if kept is None else of_used * kept
    of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
    unused = query.new_zeros(())
    return (
        torch.baddbmm(unused, of_scores, key, beta=0, alpha=scale),
        torch.baddbmm(unused, of_scores.transpose(1, 2), query, beta=0, alpha=scale),
        torch.bmm(used.transpose(1, 2), grad),
    )


def _by_group(tensor: Tensor, n_groups: int) -> Tensor:
    """(seq, heads, head) to (key heads, seq * heads per key head, head)."""
    n_tokens, n_heads, width = tensor.shape
    per_group = n_heads // n_groups
    grouped = tensor.view(n_tokens, n_groups, per_group, width).transpose(0, 1)
    return grouped.reshape(n_groups, n_tokens * per_group, width)


def _by_token(tensor: Tensor, n_tokens: int, n_heads: int) -> Tensor:
    """`_by_group` back."""
    n_groups, _, width = tensor.shape
    grouped = tensor.view(n_groups, n_tokens, n_heads // n_groups, width).transpose(0, 1)
    return grouped.reshape(n_tokens, n_heads, width)


AttentionInterface.register(NAME, packed_attention)
