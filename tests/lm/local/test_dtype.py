import pytest
import torch

import lm.local.dtype
from lm.errors import ConfigError
from lm.local.dtype import SMALL_MODEL_PARAMETERS, choose_dtype, computes_rightly, has_native_bfloat16

CPU = torch.device("cpu")


def _flags(monkeypatch: pytest.MonkeyPatch, **flags: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)


def test_small_models_on_a_cpu_compute_in_float32_whatever_it_can_do(monkeypatch: pytest.MonkeyPatch) -> None:
    _flags(monkeypatch, avx512_bf16=True, amx_bf16=True)
    assert choose_dtype(CPU, SMALL_MODEL_PARAMETERS) is torch.float32


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16", "sve_bf16"])
def test_large_models_on_a_cpu_use_native_bfloat16(monkeypatch: pytest.MonkeyPatch, flag: str) -> None:
    _flags(monkeypatch, **{flag: True})
    assert choose_dtype(CPU, SMALL_MODEL_PARAMETERS + 1) is torch.bfloat16


def test_large_models_on_a_cpu_without_native_bfloat16_stay_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    _flags(monkeypatch, avx512_f=True)
    assert not has_native_bfloat16()
    assert choose_dtype(CPU, SMALL_MODEL_PARAMETERS + 1) is torch.float32


def test_a_type_that_computes_wrongly_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    _flags(monkeypatch, avx512_bf16=True)
    monkeypatch.setattr(lm.local.dtype, "computes_rightly", lambda dtype, device: False)
    assert choose_dtype(CPU, SMALL_MODEL_PARAMETERS + 1) is torch.float32


def test_what_is_asked_for_is_used() -> None:
    assert choose_dtype(CPU, 10, "bfloat16") is torch.bfloat16
    assert choose_dtype(CPU, 10**12, "float32") is torch.float32


def test_unknown_name_is_refused_with_the_choice() -> None:
    with pytest.raises(ConfigError, match=r"'bf16'; choose one of float32, bfloat16, float16"):
        choose_dtype(CPU, 10, "bf16")


def test_self_test_passes_sound_types_and_fails_coarse_and_unusable_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    assert computes_rightly(torch.float32, CPU)
    assert computes_rightly(torch.bfloat16, CPU)
    assert not computes_rightly(torch.float8_e5m2, CPU)
    monkeypatch.setattr(lm.local.dtype, "_MAX_RELATIVE_ERROR", 1e-4)
    assert not computes_rightly(torch.bfloat16, CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_computes_in_bfloat16_where_it_can() -> None:
    expected = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    assert choose_dtype(torch.device("cuda"), 10) is expected
