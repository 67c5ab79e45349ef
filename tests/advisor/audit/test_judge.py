import pytest

from advisor.audit.check import Check
from advisor.audit.judge import (
    LabelNeeds,
    ModelIdentity,
    audit_judge,
    audit_labels,
    cohen_kappa,
    kappa_interval,
    measure_agreement,
)


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


def test_kappa_has_an_interval_that_shrinks_with_labels() -> None:
    pairs = [(True, True)] * 8 + [(False, False)] * 6 + [(True, False)]
    few, many = kappa_interval(pairs), kappa_interval(pairs * 10)
    assert few is not None
    assert many is not None
    assert few.estimate == many.estimate == pytest.approx(0.865, abs=0.001)
    assert few.low < many.low < few.estimate < many.high
    assert few.low < 0.6


def test_ungraded_labels_count_against_the_judge() -> None:
    labels = [True, False] * 20
    scores: list[float | None] = [float(good) for good in labels]
    assert measure_agreement(labels, scores).suffices
    ungraded = measure_agreement(labels, [*scores[:-3], None, None, None])
    assert (ungraded.n, ungraded.n_unscored) == (40, 3)
    assert not ungraded.suffices
    assert not measure_agreement(labels[:20], scores[:20]).suffices


def test_enough_labels_of_every_arm_take_a_judges_favour_out() -> None:
    judge, kin = ModelIdentity("Qwen3-8B", "judge"), [ModelIdentity("Qwen3-0.6B", "base")]
    for n, severity in ((30.0, "warn"), (29.5, "block")):
        needs = LabelNeeds("faithfulness", {"rag": 90.0, "hybrid": n}, raced=False)
        family, _ = audit_judge(judge, kin, {}, ["faithfulness"], needs)
        assert (family.check, family.severity) == (Check.JUDGE_FAMILY, severity)


def test_it_is_told_how_many_labels_each_arm_has_and_lacks() -> None:
    (finding,) = audit_labels(LabelNeeds("faithfulness", {"rag": 12.4, "hybrid": 31.0}, raced=False))
    assert finding.items == ("hybrid: 31 labels", "rag: 12 labels, 18 more needed")
    (finding,) = audit_labels(LabelNeeds("human_correct", {"rag": 40.0}, raced=False))
    assert (finding.severity, finding.items) == ("note", ("rag: 40 labels",))
