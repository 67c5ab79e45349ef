"""A model in a narrow type, computed in float32 for a moment, one module at a time."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor


@contextmanager
def computed_in_float32(model: Any) -> Iterator[None]:
    """Each module's own parameters are float32 while it runs, so that no second copy of the model is held.

    What two ways of computing the same differ by is then 1e-6; in bfloat16 it is some 5 % of the logits' spread, in
    which a wrong position would hide.
    """
    narrow: list[tuple[Tensor, Tensor]] = []  # what was widened last comes back first: modules nest
    # Weights in 4 bits stay as they are; what they are computed in is set at the layer.
    four_bit = [(module, module.compute_dtype) for module in model.modules() if hasattr(module, "compute_dtype")]

    def widen(module: Any, _: Any) -> None:
        for parameter in module.parameters(recurse=False):
            narrow.append((parameter, parameter.data))
            parameter.data = parameter.data.float()

    def restore(module: Any, *_: Any) -> None:
        for _parameter in module.parameters(recurse=False):
            parameter, data = narrow.pop()
            parameter.data = data

    with ExitStack() as hooks:
        for module in model.modules():
            if any(p.dtype in (torch.bfloat16, torch.float16) for p in module.parameters(recurse=False)):
                hooks.enter_context(_removed(module.register_forward_pre_hook(widen)))
                hooks.enter_context(_removed(module.register_forward_hook(restore, always_call=True)))
        for module, _dtype in four_bit:
            module.compute_dtype = torch.float32
        try:
            yield
        finally:
            for module, dtype in four_bit:
                module.compute_dtype = dtype


@contextmanager
def _removed(handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()
