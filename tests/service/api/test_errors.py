import pytest

from lm.errors import ConfigError, ErrorKind, TuningForkError
from service.api.errors import Problem, as_problem
from service.serving.errors import ClosingError, EndpointFailedError, EndpointTimeoutError
from service.store.comparisons.comparison_store import ComparisonNotFoundError, QueueFullError


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_of_error_has_a_status(kind: ErrorKind) -> None:
    made = type("MadeUpError", (TuningForkError,), {"kind": kind, "title": "Made up"})
    problem = as_problem(made("what failed"))
    assert 400 <= problem.status < 600
    assert (problem.title, problem.detail) == ("Made up", "what failed")


@pytest.mark.parametrize(
    ("error", "status"),
    [(ConfigError, 422), (ComparisonNotFoundError, 404), (EndpointFailedError, 502), (EndpointTimeoutError, 504)],
)
def test_an_error_has_the_status_of_its_kind(error: type[TuningForkError], status: int) -> None:
    assert as_problem(error("x")).status == status


@pytest.mark.parametrize("error", [QueueFullError, ClosingError])
def test_what_may_work_later_says_when(error: type[TuningForkError]) -> None:
    assert int(as_problem(error("x")).headers["Retry-After"]) >= 1


def test_a_problem_is_told_as_it_is() -> None:
    problem = Problem(418, "Teapot", "short and stout")
    assert as_problem(problem) is problem
