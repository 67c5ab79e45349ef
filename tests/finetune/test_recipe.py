import pytest

from finetune.recipe import TuningRecipe, scaled_learning_rate
from lm.errors import ConfigError


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("method", "prefix", "lora"),
        ("r", 0, "at least 1"),
        ("r", True, "at least 1"),
        ("lora_dropout", 1.0, "below 1"),
        ("prompt_dropout", 1, "below 1"),
        ("learning_rate", 0.0, "above 0"),
        ("learning_rate", float("nan"), "above 0"),
        ("loss", "hinge", "focal"),
        ("schedule", "step", "cosine"),
        ("warmup_fraction", -0.1, "at least 0"),
        ("batch_size", 0, "at least 1"),
        ("gradient_accumulation", 3, "divisor of batch_size 8"),
        ("patience", 0, "at least 1"),
        ("max_grad_norm", 0, "above 0"),
        ("seed", -1, "at least 0"),
        ("precision", "float16", "bfloat16"),
        ("target_modules", "", "a text like"),
        ("target_modules", "q_proj,", "a text like"),
        ("max_length", 1, "at least 2"),
    ],
)
def test_impossible_setting_is_refused_by_field_and_range(field: str, value: object, allowed: str) -> None:
    with pytest.raises(ConfigError, match=field) as refusal:
        TuningRecipe(**{field: value})  # type: ignore[arg-type]
    assert repr(value) in str(refusal.value)
    assert allowed in str(refusal.value)


def test_hash_follows_every_setting() -> None:
    assert TuningRecipe().hash == TuningRecipe().hash
    assert TuningRecipe(seed=1).hash != TuningRecipe().hash
    assert TuningRecipe(target_modules="q_proj,v_proj").hash != TuningRecipe().hash
    assert TuningRecipe(loss="focal").hash != TuningRecipe().hash


def test_learning_rate_falls_with_width() -> None:
    assert scaled_learning_rate(2000) == pytest.approx(5e-4)
    assert scaled_learning_rate(256) == pytest.approx(2.5e-3, rel=0.02)
    assert scaled_learning_rate(4096) < scaled_learning_rate(2048)
