from dataclasses import replace

import pytest

from advisor.arms import (
    ARM_KINDS,
    ARMS,
    CANDIDATES,
    DEFAULT_ARMS,
    ArmKind,
    ArmSpec,
    Circumstances,
    model_label,
    parse_arm,
    parse_arms,
    runnable_arms,
    tuned_pairs,
    unrunnable,
)
from advisor.data.dataset import Task
from lm.errors import ConfigError

ALL_RUN = Circumstances("tiny", Task.CLASSIFICATION, has_training_questions=True, model="m", tunable=True)


def test_names_are_unique_and_the_default_is_the_five_arms_of_a_first_comparison() -> None:
    assert len(ARM_KINDS) == len(ARMS) == len(CANDIDATES)
    assert DEFAULT_ARMS == ("base", "few-shot", "rag", "fine-tuned", "hybrid")


@pytest.mark.parametrize("arm", [arm for arm in ARMS if arm.tuned], ids=lambda arm: arm.name)
def test_a_tuned_arm_names_the_arm_that_differs_in_the_tuning_alone(arm: ArmKind) -> None:
    untuned = ARM_KINDS[arm.untuned]
    assert not untuned.tuned
    assert untuned.retrieves == arm.retrieves


def test_arms_run_as_far_as_task_training_questions_and_model_let_them() -> None:
    def names(**changes: object) -> set[str]:
        return {arm.name for arm in runnable_arms(replace(ALL_RUN, **changes))}

    everything = {arm.name for arm in ARMS if not arm.source}
    assert names() == everything
    assert everything - names(task=Task.EXTRACTION) == {"classifier"}
    assert everything - names(tunable=False) == {"fine-tuned", "hybrid", "raft"}
    assert names(has_training_questions=False) == {"base", "rag", "long-context"}


def test_what_cannot_run_is_told_with_all_the_arms_it_holds_for() -> None:
    assert unrunnable(["base", "rag"], replace(ALL_RUN, tunable=False, has_training_questions=False)) == ""
    told = unrunnable(["fine-tuned", "base", "raft"], replace(ALL_RUN, tunable=False))
    assert "leave fine-tuned and raft out with `--arms base,few-shot,rag`" in told


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("rag", ArmSpec("rag", "rag")),
        ("rag@openai:gpt-4o", ArmSpec("rag-gpt-4o", "rag", "openai:gpt-4o")),
        ("small=fine-tuned@smollm2", ArmSpec("small", "fine-tuned", "smollm2")),
        ("base@hf:Qwen/Qwen3-0.6B", ArmSpec("base-Qwen3-0.6B", "base", "hf:Qwen/Qwen3-0.6B")),
        ("base@openai:m@http://h:1/v1", ArmSpec("base-m", "base", "openai:m@http://h:1/v1")),
        ("base@openai:m@http://h/v1?a=b", ArmSpec("base-m", "base", "openai:m@http://h/v1?a=b")),
        (" mine = rag", None),
        ("mine=ragg", None),
        ("mine=", None),
        ("base@", None),
        ("rag=base", None),
        ("majority=base", None),
        ("a/b=base", None),
        ("classifier@smollm2", None),
    ],
)
def test_an_arm_is_a_name_a_kind_and_a_model(text: str, spec: ArmSpec | None) -> None:
    if spec is None:
        with pytest.raises(ConfigError, match="arms has"):
            parse_arm(text)
    else:
        assert parse_arm(text) == parse_arm(str(spec)) == spec


def test_two_arms_of_one_id_are_refused_with_another_name() -> None:
    with pytest.raises(ConfigError, match="'base@hf:a/m' and 'base@hf:b/m' are both base-m.*base-m-2=base@hf:b/m"):
        parse_arms(["base@hf:a/m", "base@hf:b/m"])


def test_an_arm_is_paired_with_the_untuned_one_of_its_model() -> None:
    arms = parse_arms(["base", "fine-tuned", "base@hf:b", "big=fine-tuned@hf:b", "hybrid"])
    assert tuned_pairs(arms) == (("fine-tuned", "base"), ("big", "base-b"))


def test_a_model_is_told_without_where_it_is_found() -> None:
    specs = ("smollm2", "hf:a/B-1.5", "gguf:/x/y.gguf", "openai:gpt-4o@http://h/v1", "hf:/tmp/tuned/")
    assert [model_label(spec) for spec in specs] == ["smollm2", "B-1.5", "y.gguf", "gpt-4o", "tuned"]
