"""Losses against their definitions, token by token."""

import math

import pytest
import torch

from finetune.losses import DEFAULT_LOSS, FOCUS, LOSSES, SMOOTHING

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.5, 0.0]])
TARGETS = torch.tensor([0, 2])


def log_p() -> list[list[float]]:
    return [[x - math.log(sum(math.exp(y) for y in row)) for x in row] for row in LOGITS.tolist()]


def expected(name: str) -> list[float]:
    made = []
    for row, target in zip(log_p(), TARGETS.tolist(), strict=True):
        made.append(
            {
                "cross-entropy": -row[target],
                "label-smoothing": -(1 - SMOOTHING) * row[target] - SMOOTHING * sum(row) / len(row),
                "focal": -((1 - math.exp(row[target])) ** FOCUS) * row[target],
            }[name]
        )
    return made


@pytest.mark.parametrize("name", LOSSES.own)
def test_a_loss_is_that_of_its_definition(name: str) -> None:
    assert LOSSES[name](LOGITS, TARGETS).tolist() == pytest.approx(expected(name), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES.own)
def test_the_gradient_raises_the_target(name: str) -> None:
    logits = LOGITS.clone().requires_grad_()
    LOSSES[name](logits, TARGETS).sum().backward()
    assert logits.grad is not None
    assert all(logits.grad[i, target] < 0 for i, target in enumerate(TARGETS.tolist()))


def test_the_default_is_the_first() -> None:
    assert next(iter(LOSSES)) == DEFAULT_LOSS
