import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from finetune.forward.packed_attention import PackedLayout, packed_attention

LAYOUTS = [
    PackedLayout(5, (4, 2, 7)),
    PackedLayout(0, (3, 1)),
    PackedLayout(6, (1, 1, 1)),
    PackedLayout(2, (5,)),
]


N_PADDING = 2


def tensors(layout: PackedLayout, n_groups: int, per_group: int) -> list[Tensor]:
    torch.manual_seed(1)
    n_tokens = layout.n_shared + layout.n_own + N_PADDING
    shapes = [(n_groups * per_group, 8), (n_groups, 8), (n_groups, 6)]
    return [torch.randn(1, heads, n_tokens, width, dtype=torch.float64).requires_grad_() for heads, width in shapes]


def dense_mask(layout: PackedLayout) -> Tensor:
    own = [i for i, n in enumerate(layout.own_lengths) for _ in range(n)]
    row = torch.tensor([-1] * layout.n_shared + own)
    sees = (row[:, None] == row) | (row == -1)
    return sees & torch.ones_like(sees).tril()


@pytest.mark.parametrize(("n_groups", "per_group"), [(3, 3), (1, 4), (2, 1)])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_rows_see_the_beginning_and_themselves(layout: PackedLayout, n_groups: int, per_group: int) -> None:
    query, key, value = inputs = tensors(layout, n_groups, per_group)
    found, _ = packed_attention(None, query, key, value, None, packed_rows=layout)
    dense = [
        tensor[:, :, :-N_PADDING] for tensor in (query, *(t.repeat_interleave(per_group, 1) for t in (key, value)))
    ]
    expected = scaled_dot_product_attention(*dense, attn_mask=dense_mask(layout)).transpose(1, 2)
    torch.testing.assert_close(found[:, :-N_PADDING], expected, rtol=0, atol=1e-12)
    assert not found[:, -N_PADDING:].any()
    weight = torch.randn_like(found)
    expected = torch.cat([expected, torch.zeros_like(found[:, -N_PADDING:])], dim=1)
    for mine, theirs in zip(
        torch.autograd.grad(found, inputs, weight), torch.autograd.grad(expected, inputs, weight), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_gradients_follow_dropout() -> None:
    layout = LAYOUTS[0]

    def attended(*inputs: Tensor) -> Tensor:
        torch.manual_seed(3)
        return packed_attention(None, *inputs, None, packed_rows=layout, dropout=0.3)[0]

    inputs = tensors(layout, 2, 2)
    assert torch.autograd.gradcheck(attended, inputs)
    assert not torch.allclose(attended(*inputs), packed_attention(None, *inputs, None, packed_rows=layout)[0])


@pytest.mark.parametrize(
    "needs",
    [
        {"packed_rows": None},
        {"softcap": 30.0},
        {"sliding_window": 11},
        {"s_aux": torch.zeros(1)},
        {"position_bias": torch.zeros(1)},
    ],
    ids=lambda needs: next(iter(needs)),
)
def test_what_is_not_computed_is_refused(needs: dict[str, object]) -> None:
    layout = LAYOUTS[0]
    query, key, value = tensors(layout, 1, 1)
    with pytest.raises(ValueError, match="packed attention"):
        packed_attention(None, query, key, value, None, **{"packed_rows": layout} | needs)


def test_window_as_long_as_the_longest_row_changes_nothing() -> None:
    layout = LAYOUTS[0]
    query, key, value = tensors(layout, 1, 1)
    whole, _ = packed_attention(None, query, key, value, None, packed_rows=layout)
    windowed, _ = packed_attention(None, query, key, value, None, packed_rows=layout, sliding_window=12)
    assert torch.equal(whole, windowed)
