from dataclasses import replace

import pytest

from advisor.arms import ARM_KINDS, ARMS, CANDIDATES, DEFAULT_ARMS, ArmKind, Circumstances, runnable_arms, unrunnable
from advisor.data.dataset import Task

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

    assert names() == set(CANDIDATES)
    assert set(CANDIDATES) - names(task=Task.EXTRACTION) == {"classifier"}
    assert set(CANDIDATES) - names(tunable=False) == {"fine-tuned", "hybrid", "raft"}
    assert names(has_training_questions=False) == {"base", "rag"}


def test_what_cannot_run_is_told_with_all_the_arms_it_holds_for() -> None:
    assert unrunnable(["base", "rag"], replace(ALL_RUN, tunable=False, has_training_questions=False)) == ""
    told = unrunnable(["fine-tuned", "base", "raft"], replace(ALL_RUN, tunable=False))
    assert "leave fine-tuned and raft out with `--arms base,few-shot,rag`" in told
