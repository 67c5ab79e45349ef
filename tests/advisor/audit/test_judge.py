import pytest

from advisor.audit.judge import Agreement, ModelIdentity, cohen_kappa, measure_agreement


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("hf:Qwen/Qwen3-4B-Instruct-2507", "Qwen/Qwen3.5-0.8B"),
        ("openai:gpt-5-mini@https://api.example/v1", "openai:o3-mini"),
        ("mistralai/Ministral-8B-Instruct-2410", "Mistral-7B-Instruct-v0.3"),
        ("meta-llama/Llama-3.2-1B", "Meta-Llama-3-8B"),
        ("smollm2", "smollm2"),
    ],
)
def test_sister_models_are_of_one_family(first: str, second: str) -> None:
    assert ModelIdentity(first, "1").family == ModelIdentity(second, "2").family


@pytest.mark.parametrize(
    ("first", "second"), [("gpt-5-mini", "Qwen/Qwen3-4B"), ("HuggingFaceTB/SmolLM2-360M", "allenai/OLMo-2-0425-1B")]
)
def test_models_of_other_makers_are_of_other_families(first: str, second: str) -> None:
    assert ModelIdentity(first, "1").family != ModelIdentity(second, "2").family


def test_kappa_is_that_of_the_textbook_table() -> None:
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: observed .70, by chance .50.
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    assert cohen_kappa(pairs) == pytest.approx(0.4)


def test_agreeing_always_because_everything_is_good_shows_nothing() -> None:
    assert cohen_kappa([(True, True)] * 50) is None
    assert not measure_agreement([True] * 50, [1.0] * 50).suffices


def test_ungraded_labels_count_against_the_judge() -> None:
    labels = [True, False] * 20
    scores: list[float | None] = [float(good) for good in labels]
    assert measure_agreement(labels, scores).suffices
    assert measure_agreement(labels, [*scores[:-3], None, None, None]) == Agreement(40, 3, 1.0)
    assert not measure_agreement(labels, [*scores[:-3], None, None, None]).suffices
    assert not measure_agreement(labels[:20], scores[:20]).suffices
