from pathlib import Path

import torch
import transformers
from transformers.cache_utils import DynamicLayer

from lm.key_value_cache import RoomyLayer, empty_cache, is_plain, start_cache


def _new(n_rows: int, n_tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(n_rows, 2, n_tokens, 4), torch.randn(n_rows, 2, n_tokens, 4)


def test_a_roomy_layer_holds_what_transformers_own_holds_also_beyond_its_room() -> None:
    roomy, own = RoomyLayer(5), DynamicLayer()
    for n_tokens in (3, 1, 1, 4, 1):
        new = _new(2, n_tokens)
        for ours, theirs in zip(roomy.update(*new), own.update(*new), strict=True):
            assert torch.equal(ours, theirs)
        assert roomy.get_seq_length() == own.get_seq_length()
        assert roomy.get_mask_sizes(1) == own.get_mask_sizes(1)


def test_rows_that_stay_keep_what_they_read() -> None:
    roomy, own = RoomyLayer(8), DynamicLayer()
    for layer in (roomy, own):
        torch.manual_seed(0)
        layer.update(*_new(3, 4))
        layer.batch_select_indices(torch.tensor([2, 0]))
        layer.update(*_new(2, 1))
    assert torch.equal(roomy.keys, own.keys)
    assert torch.equal(roomy.values, own.values)


def test_rows_that_share_a_beginning_do_not_share_what_follows() -> None:
    beginning = [_new(1, 3)]
    before = beginning[0][0].clone()
    cache = start_cache(beginning, 2, 6)
    keys, _ = cache.update(*_new(2, 1), 0)
    assert torch.equal(keys[:, :, :3], before.expand(2, -1, -1, -1))
    assert not torch.equal(keys[0, :, 3], keys[1, :, 3])
    assert torch.equal(beginning[0][0], before)


def test_windows_are_not_plain(tiny_model_folder: Path) -> None:
    plain = transformers.AutoConfig.from_pretrained(tiny_model_folder)
    windows = transformers.MistralConfig(num_hidden_layers=2, sliding_window=16)
    assert is_plain(plain)
    assert not is_plain(windows)
    assert [type(layer) for layer in empty_cache(plain, 4).layers] == [RoomyLayer, RoomyLayer]
    assert RoomyLayer not in map(type, empty_cache(windows, 4).layers)
