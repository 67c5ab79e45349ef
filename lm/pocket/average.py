"""Mean of the weights of checkpoints of one run: `python -m lm.pocket.average FOLDER FOLDER --out FOLDER`.

Weights that share the beginning of their training may be averaged (Wortsman et al. 2022, "Model soups"): the mean of
one that reads more readily and one that abstains more readily does both.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from lm.errors import LanguageModelError

WEIGHTS = "model.safetensors"


def average(checkpoints: Sequence[Path], out: Path) -> None:
    """Write the first checkpoint with the mean weights of all; sums are taken in float32.

    Raises:
        LanguageModelError: the checkpoints are not of one shape.
    """
    loaded = [load_file(folder / WEIGHTS) for folder in checkpoints]
    shapes = {name: tensor.shape for name, tensor in loaded[0].items()}
    for folder, tensors in zip(checkpoints, loaded, strict=True):
        if {name: tensor.shape for name, tensor in tensors.items()} != shapes:
            raise LanguageModelError(f"{folder} has other weights than {checkpoints[0]}: only runs of one size average")
    shutil.copytree(checkpoints[0], out)
    means = {
        name: torch.stack([tensors[name].float() for tensors in loaded]).mean(0).to(tensor.dtype)
        for name, tensor in loaded[0].items()
    }
    save_file(means, out / WEIGHTS, metadata={"format": "pt"})


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True, help="folder to be made")
    arguments = parser.parse_args()
    average(arguments.checkpoints, arguments.out)


if __name__ == "__main__":
    main()
