import subprocess
import sys
from dataclasses import asdict

import pytest

from service.contract.settings import QuestionSettings
from service.run.process_limits import job_environment, memory_overrun
from service.run.settings import ComparisonSettings

ENVIRONMENT = {
    "PATH": "/bin",
    "TUNING_FORK_DATABASE_URL": "postgresql://u:p@h/d",
    "PGPASSWORD": "1",
    "OPENAI_API_KEY": "2",
    "AZURE_OPENAI_API_KEY": "3",
    "TUNING_FORK_MODEL_API_KEY": "4",
    "TUNING_FORK_EMBEDDER_API_KEY": "5",
    "HF_TOKEN": "6",
    "TUNING_FORK_API_KEY": "7",
    "AWS_SECRET_ACCESS_KEY": "8",
}
ALWAYS = {"PATH", "TUNING_FORK_DATABASE_URL", "PGPASSWORD"}
OPENAI, AZURE, HUB = {"OPENAI_API_KEY"}, {"AZURE_OPENAI_API_KEY"}, {"HF_TOKEN"}


@pytest.mark.parametrize(
    ("settings", "keys"),
    [
        ({}, set()),
        ({"model": "hf:org/gated"}, HUB),
        ({"model": "openai:gpt-4o"}, OPENAI),
        ({"judge": "openai:gpt-4o"}, OPENAI),
        ({"embedder": "openai:text-embedding-3-small"}, OPENAI),
        ({"reranker": "hf:cross-encoder/x"}, HUB),
        ({"model": "openai:m@https://mine.openai.azure.com/openai/v1"}, AZURE),
        ({"model": "openai:m@https://elsewhere.example/v1"}, {"TUNING_FORK_MODEL_API_KEY"}),
        ({"arms": ("base", "base@openai:gpt-4o")}, OPENAI),
    ],
)
def test_a_job_has_the_keys_of_its_own_endpoints_and_no_others(settings: dict[str, object], keys: set[str]) -> None:
    stored = ComparisonSettings("tiny", **settings).to_json()  # type: ignore[arg-type]
    assert set(job_environment(stored, ENVIRONMENT)) == ALWAYS | keys


def test_a_run_that_writes_questions_has_the_key_of_its_model() -> None:
    stored = asdict(QuestionSettings(model="openai:gpt-4o"))
    assert set(job_environment(stored, ENVIRONMENT)) == ALWAYS | OPENAI


def test_settings_that_cannot_be_read_get_no_keys() -> None:
    assert set(job_environment({}, ENVIRONMENT)) == set(job_environment({"model": 3}, ENVIRONMENT)) == ALWAYS


def test_a_process_cannot_allocate_more_than_its_limit_and_can_tell_it() -> None:
    program = """
from service.run.process_limits import limit_memory, memory_overrun
limit_memory(1 << 30)
try:
    bytearray(2 << 30)
except MemoryError as error:
    print(memory_overrun(error, "a job", "--job-memory-gb"))
print(len(bytearray(2 << 20)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "it needed more than the 1 GB of a job" in done.stdout
    assert "or have --job-memory-gb raised" in done.stdout


def test_torchs_word_for_a_full_memory_is_known_and_other_errors_are_none() -> None:
    told = memory_overrun(
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), "a job", "--more"
    )
    assert (told or "").startswith("memory was too small; take a smaller model or --batch-size")
    assert memory_overrun(RuntimeError("shapes differ"), "a job", "--more") is None
