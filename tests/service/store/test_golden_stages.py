"""Results that change without a raised format number would be taken from stages of older code."""

import json
from pathlib import Path

import pytest

from service.store.stages.stage_key import STAGE_KINDS
from tests.golden_stages import COMMAND, MAKERS, differs, numbers, recorded, remedy
from tests.old_home import OldHome, unpack_old_home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> OldHome:
    return unpack_old_home(tmp_path_factory.mktemp("golden"))


def test_every_kind_of_stage_has_a_golden_result() -> None:
    assert MAKERS.keys() == STAGE_KINDS.keys()


@pytest.mark.parametrize("kind", MAKERS)
def test_results_are_those_of_their_format_numbers(kind: str, home: OldHome, tmp_path: Path) -> None:
    then = recorded(kind)
    assert numbers(kind) == then["formats"], f"format numbers changed: run `{COMMAND}`"
    difference = differs(json.loads(json.dumps(MAKERS[kind](home, tmp_path))), then["made"])
    assert not difference, f"{kind} differ at {difference}; {remedy(kind)}"


@pytest.mark.parametrize(
    ("made", "is_other"), [([1.00001, "a"], False), ([1.1, "a"], True), ([1.0, "b"], True), ([1.0], True)]
)
def test_rounding_is_no_difference_and_everything_else_is(made: list[object], is_other: bool) -> None:
    assert bool(differs(made, [1.0, "a"])) == is_other
