"""The whole API against its own description: whatever is sent, no defect, and no answer that is not described.

`make fuzz` sends 20,000 requests, other ones each time; the tests send the same 1,000 and more always.
"""

import os
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.python import asgi
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from service.api.service_settings import ServiceSettings
from service.contract.comparison_state import ComparisonState
from service.contract.scope import Scope
from tests.service.api.conftest import Api

SHORT_FORM = 1_000
POSTGRES_SHARE = 5
"""What a database refuses, such as NUL, is found by few requests, and ill-formed ones never get as far."""

N_CASES = int(os.environ.get("TUNING_FORK_FUZZ_CASES", SHORT_FORM))
# A description cannot say all that is refused: 422 to what it allows is right.
NOT_CHECKED = [positive_data_acceptance]
# These would load models.
ASKING = ("/answers", "/completions", "/stream")


def add_rows(api: Api, finished_files: dict[str, bytes]) -> None:
    """One comparison in each state, so that some requests reach more than 404."""
    for state in ComparisonState:
        if api.client(key=api.secret).get(f"/v1/comparisons/{state}").status_code == 404:  # type: ignore[attr-defined]
            api.add_comparison(state)
            if state is ComparisonState.SUCCEEDED:
                api.finish(state, finished_files)
            else:
                api.move(state, state)


REAL_PARTS = {
    "comparison_id": [str(state) for state in ComparisonState],
    "version": ["appliance-support", "ticket-triage"],
    "kind": ["base", "rag"],
}


@pytest.fixture
def fuzzed(api: Api, finished_files: dict[str, bytes]) -> Api:
    """An application that never makes a caller wait, with a key and some rows."""
    limits = ServiceSettings(max_queued=1_000_000, longest_wait_s=0.01, event_stream_s=0.01)
    fuzzed = Api(api.engine, api.home, limits)
    fuzzed.secret = api.key(Scope.ADMIN)  # type: ignore[attr-defined]
    add_rows(fuzzed, finished_files)
    return fuzzed


def strategies_of(operation: Any, mode: GenerationMode) -> st.SearchStrategy[Any]:
    """Requests; every second one that is meant well names things that are there."""
    cases = operation.as_strategy(generation_mode=mode)
    real = {part.name: REAL_PARTS[part.name] for part in operation.path_parameters if part.name in REAL_PARTS}
    if mode is not GenerationMode.POSITIVE or not real or operation.path.endswith(ASKING):
        return cases

    def named(case: Any, parts: dict[str, str], is_real: bool) -> Any:
        if is_real:
            case.path_parameters = {**case.path_parameters, **parts}
        return case

    parts = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in real.items()})
    return st.builds(named, cases, parts, st.booleans())


def can_be_refused(case: Any, response: Any) -> bool:
    """Whether what is wrong with an ill-formed request is still wrong once it was sent."""
    # 413 refuses a body as well as 422 does, and is not known to do so.
    if response.status_code == 413:
        return False
    # Fields of a form have no types: a list of one text is the text, and an empty one is nothing.
    if (case.media_type or "").startswith("multipart/"):
        return False
    # A parameter too many whose value is an empty list is not sent.
    return set(case.query or {}) <= set(parse_qs(urlsplit(response.request.url).query, keep_blank_values=True))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_no_request_finds_a_defect(fuzzed: Api, finished_files: dict[str, bytes], database_kind: str) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", fuzzed.app)
    operations = [result.ok() for result in schema.get_all_operations()]
    headers = {"Authorization": f"Bearer {fuzzed.secret}"}  # type: ignore[attr-defined]
    statuses: Counter[int] = Counter()
    session = asgi.get_client(fuzzed.app)
    failures: list[str] = []

    def fuzz(operation: Any, mode: GenerationMode, n: int) -> None:
        @settings(
            max_examples=n,
            deadline=None,
            database=None,
            derandomize=n_is_short,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(case=strategies_of(operation, mode))
        def run(case: Any) -> None:
            response = case.call(session=session, headers=headers)
            statuses[response.status_code] += 1
            not_checked = NOT_CHECKED if can_be_refused(case, response) else [*NOT_CHECKED, negative_data_rejection]
            case.validate_response(response, excluded_checks=not_checked)

        try:
            run()
        except BaseExceptionGroup as found:
            failures.append(f"{mode} {operation.label}: {found.exceptions[0]}\n{found}")
        except Unsatisfiable:
            # Nothing can be wrong with a request that has no parameter.
            assert not operation.query and not operation.body

    n_is_short = N_CASES <= SHORT_FORM
    is_sqlite = database_kind == "sqlite"
    n_cases = N_CASES if is_sqlite else N_CASES // POSTGRES_SHARE
    modes = list(GenerationMode) if is_sqlite else [GenerationMode.POSITIVE]
    # A twentieth more, since operations without parameters take few.
    share = 21 * n_cases // (20 * len(modes) * len(operations)) + 1
    with session:
        for operation in operations:
            for mode in modes:
                fuzz(operation, mode, share)
            add_rows(fuzzed, finished_files)
    print(f"\n{statuses.total()} requests to {len(operations)} operations: {dict(sorted(statuses.items()))}")  # noqa: T201
    assert not failures, "\n\n".join(failures)
    assert statuses.total() >= n_cases
    assert max(statuses) < 500
    assert statuses[200] > n_cases / 20


def test_every_failure_is_described(client: TestClient) -> None:
    description = client.get("/openapi.json").json()
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            for status in ("401", "404", "413", "422", "429", "500"):
                content = operation["responses"][status]["content"]
                assert "application/problem+json" in content, (method, path, status)
    assert "HTTPValidationError" not in str(description)


def test_every_answer_is_typed(client: TestClient) -> None:
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for method, operation in operations.items():
            for status in ("200", "201", "202"):
                for media_type, content in operation["responses"].get(status, {}).get("content", {}).items():
                    assert content.get("schema"), (method, path, status, media_type)


def test_there_is_no_page_that_loads_scripts_from_elsewhere(client: TestClient) -> None:
    for path in ("/docs", "/redoc"):
        assert client.get(path).status_code == 404
