import torch
from torch import nn

from lm.pocket.optimizer import MuonAdamW, newton_schulz


def _model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))


def _step(model: nn.Module, optimizer: MuonAdamW, seed: int) -> float:
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(seed))
    loss = (model(x) - x[:, :4]).square().mean()
    loss.backward()
    optimizer.step(1.0)
    return loss.item()


def test_singular_values_are_drawn_towards_one() -> None:
    matrices = torch.randn(3, 6, 12, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(newton_schulz(matrices))
    assert values.min() > 0.5 and values.max() < 1.5


def test_loss_falls() -> None:
    model = _model()
    optimizer = MuonAdamW(model)
    losses = [_step(model, optimizer, i) for i in range(60)]
    assert losses[-1] < losses[0] / 3


def test_a_restored_state_goes_on_as_if_never_stopped() -> None:
    model = _model()
    optimizer = MuonAdamW(model)
    for i in range(3):
        _step(model, optimizer, i)
    other = _model()
    restored = MuonAdamW(other)
    restored.load_state_dict(optimizer.state_dict())
    assert [_step(model, optimizer, i) for i in range(3, 6)] == [_step(other, restored, i) for i in range(3, 6)]
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)
