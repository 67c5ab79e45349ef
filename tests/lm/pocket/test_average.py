from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lm.errors import LanguageModelError
from lm.pocket.average import WEIGHTS, average


def _checkpoint(folder: Path, values: list[float]) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    save_file({"w": torch.tensor(values, dtype=torch.bfloat16)}, folder / WEIGHTS)
    return folder


def test_weights_are_averaged_and_the_rest_is_of_the_first(tmp_path: Path) -> None:
    one, two = _checkpoint(tmp_path / "a", [1.0, 2.0]), _checkpoint(tmp_path / "b", [3.0, -2.0])
    average([one, two], tmp_path / "out")
    mean = load_file(tmp_path / "out" / WEIGHTS)["w"]
    assert (mean.tolist(), mean.dtype) == ([2.0, 0.0], torch.bfloat16)
    assert (tmp_path / "out" / "config.json").exists()


def test_another_shape_is_refused_by_name(tmp_path: Path) -> None:
    one, two = _checkpoint(tmp_path / "a", [1.0, 2.0]), _checkpoint(tmp_path / "b", [3.0])
    with pytest.raises(LanguageModelError, match="b has other weights"):
        average([one, two], tmp_path / "out")
    assert not (tmp_path / "out").exists()
