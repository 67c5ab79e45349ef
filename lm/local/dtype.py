"""Which floating-point type a local model computes in.

The type is part of a model's fingerprint, so the choice depends on hardware flags and model size alone: the same
machine always chooses the same. A timing would flip on a busy machine and with it every cached answer.
"""

import torch

from lm.errors import ConfigError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""What a user may ask for by name."""

SMALL_MODEL_PARAMETERS = 50_000_000
"""Below this size float32 is fast enough on a CPU, and it makes batched and single answers agree better."""

_MAX_RELATIVE_ERROR = 0.02


def choose_dtype(device: torch.device, n_parameters: int, requested: str | None = None) -> torch.dtype:
    """The type to load a model in.

    Asked for by name: that one. Otherwise bfloat16 on CUDA where the card computes in it, and on a CPU with native
    bfloat16 for models above `SMALL_MODEL_PARAMETERS`; without native support bfloat16 on a CPU is 40 to 500 times
    slower (pytorch#146508). In either case only when it computes rightly here; float32 everywhere else.

    Raises:
        ConfigError: the name is not in `DTYPES`.
    """
    if requested is not None:
        if requested not in DTYPES:
            raise ConfigError(f"unknown dtype {requested!r}; choose one of {', '.join(DTYPES)}")
        return DTYPES[requested]
    if device.type == "cuda":
        wanted = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        wanted = device.type == "cpu" and n_parameters > SMALL_MODEL_PARAMETERS and has_native_bfloat16()
    return torch.bfloat16 if wanted and computes_rightly(torch.bfloat16, device) else torch.float32


def has_native_bfloat16() -> bool:
    """Whether this CPU multiplies in bfloat16 (x86 AVX-512 BF16 or AMX, ARM BF16)."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(flag, False) for flag in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def computes_rightly(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether a small matrix product in `dtype` is finite and close to float32's."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(64, 256, generator=generator)
    b = torch.randn(256, 64, generator=generator)
    expected = a @ b  # (64, 64)
    try:
        computed = (a.to(device, dtype) @ b.to(device, dtype)).float().cpu()
    except RuntimeError:
        return False
    error = (computed - expected).norm() / expected.norm()
    return bool(torch.isfinite(computed).all()) and error.item() < _MAX_RELATIVE_ERROR
