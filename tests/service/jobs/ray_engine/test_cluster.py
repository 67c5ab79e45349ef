import pytest

from lm.errors import ConfigError, LanguageModelError

pytest.importorskip("ray", reason="pip install 'tuning-fork[ray]'")

from ray.exceptions import ActorDiedError, RayTaskError

from service.jobs.job import OutageError
from service.jobs.ray_engine.cluster import own_error, refuse_release, this_release


def test_this_release_is_not_refused() -> None:
    assert {"ray", "python", "tuning-fork", "torch", "code"} <= set(this_release())
    refuse_release(this_release(), this_release(), "10.0.0.5")


@pytest.mark.parametrize(
    ("differing", "told"),
    [
        ({"tuning-fork": "0.0.9"}, "Tuning Fork 0.0.9 in place of"),
        ({"torch": "1.0", "code": "0"}, "torch 1.0 in place of .*, code of Tuning Fork 0 in place of"),
    ],
)
def test_another_release_is_refused_by_node_and_name_with_what_to_install(differing: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=rf"node 10\.0\.0\.5 .*{told}.*pip install .*tuning-fork\[ray\]=="):
        refuse_release(this_release() | differing, this_release(), "10.0.0.5")


def test_a_node_without_tuning_fork_is_refused() -> None:
    with pytest.raises(ConfigError, match="Tuning Fork missing in place of"):
        refuse_release({}, this_release(), "10.0.0.5")


def test_errors_of_ours_come_back_as_they_were_raised_and_those_of_ray_are_outages() -> None:
    ours = LanguageModelError("the endpoint says no")
    assert own_error(RayTaskError("answer", "a traceback", ours)) is ours
    defect = RayTaskError("answer", "a traceback", ZeroDivisionError("ours"))
    assert own_error(defect) is defect
    assert isinstance(own_error(ActorDiedError()), OutageError)
