import pytest

from advisor.arms import ARM_KINDS, ARMS, CANDIDATES, DEFAULT_ARMS, ArmKind


def test_names_are_unique_and_the_default_is_the_five_arms_of_a_first_comparison() -> None:
    assert len(ARM_KINDS) == len(ARMS) == len(CANDIDATES)
    assert DEFAULT_ARMS == ("base", "few-shot", "rag", "fine-tuned", "hybrid")


@pytest.mark.parametrize("arm", [arm for arm in ARMS if arm.tuned], ids=lambda arm: arm.name)
def test_a_tuned_arm_names_the_arm_that_differs_in_the_tuning_alone(arm: ArmKind) -> None:
    untuned = ARM_KINDS[arm.untuned]
    assert not untuned.tuned
    assert untuned.retrieves == arm.retrieves
