from pathlib import Path

import torch
import transformers
from transformers.cache_utils import DynamicLayer

from lm.local.key_value_cache import Room, RoomyLayer, is_plain


def _new(n_rows: int, n_tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(n_rows, 2, n_tokens, 4), torch.randn(n_rows, 2, n_tokens, 4)


def test_a_roomy_layer_holds_what_transformers_own_holds_also_beyond_its_room() -> None:
    roomy, own = RoomyLayer(Room(2, 5), slice(0, 2), 0, 0), DynamicLayer()
    for n_tokens in (3, 1, 1, 4, 1):
        new = _new(2, n_tokens)
        for ours, theirs in zip(roomy.update(*new), own.update(*new), strict=True):
            assert torch.equal(ours, theirs)
        assert roomy.get_seq_length() == own.get_seq_length()
        assert roomy.get_mask_sizes(1) == own.get_mask_sizes(1)


def test_rows_that_stay_keep_what_they_read() -> None:
    roomy, own = RoomyLayer(Room(3, 8), slice(0, 3), 0, 0), DynamicLayer()
    for layer in (roomy, own):
        torch.manual_seed(0)
        layer.update(*_new(3, 4))
        layer.batch_select_indices(torch.tensor([2, 0]))
        layer.update(*_new(2, 1))
    assert torch.equal(roomy.keys, own.keys)
    assert torch.equal(roomy.values, own.values)


def test_rows_that_share_a_run_do_not_share_what_follows() -> None:
    room, run = Room(3, 6), _new(1, 3)
    before = run[0].clone()
    room.write([0, 2], 3, *run)
    keys, _ = RoomyLayer(room, slice(0, 3), 0, 3).update(*_new(3, 1))
    assert torch.equal(keys[[0, 2], :, :3], before.expand(2, -1, -1, -1))
    assert not keys[1, :, :3].any()
    assert not torch.equal(keys[0, :, 3], keys[2, :, 3])
    assert torch.equal(run[0], before)


def test_parts_of_a_batch_are_written_apart_and_read_on_together() -> None:
    room, new = Room(3, 6), _new(3, 2)
    for rows in (slice(0, 1), slice(1, 3)):
        part = RoomyLayer(room, rows, 1, 1)
        assert part.get_seq_length() == 1
        keys, _ = part.update(new[0][rows], new[1][rows])
        assert keys.shape[-2] == 3
    keys, values = RoomyLayer(room, slice(0, 3), 0, 4).update(*_new(3, 1))
    assert torch.equal(keys[:, :, 2:4], new[0])
    assert torch.equal(values[:, :, 2:4], new[1])
    assert torch.equal(room.read(1, 2, 4)[0], new[0][1:2])


def test_windows_are_not_plain(tiny_model_folder: Path) -> None:
    plain = transformers.AutoConfig.from_pretrained(tiny_model_folder)
    windows = transformers.MistralConfig(num_hidden_layers=2, sliding_window=16)
    assert is_plain(plain)
    assert not is_plain(windows)
