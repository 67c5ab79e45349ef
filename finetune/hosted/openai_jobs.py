"""Tuning by the fine-tuning API that OpenAI, Azure OpenAI and Azure AI Foundry share."""

from typing import Any

import httpx2
import openai
from openai.types.fine_tuning import FineTuningJob

from finetune.hosted.provider import HostedJob, HostedTuningError, JobState, TuneRequest
from finetune.hosted.replies import told_by, unless_gone
from lm.endpoint.connection import connection_to
from lm.endpoint.endpoint_key import OPENAI_BASE_URL, endpoint_key, how_to_give_key, is_azure
from lm.errors import ConfigError

MARK = "tuning_fork"
"""Key of a job's metadata; a job is found again by it."""

_STATES = {
    "validating_files": JobState.VALIDATING,
    "queued": JobState.QUEUED,
    "pending": JobState.QUEUED,
    "running": JobState.RUNNING,
    "succeeded": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
    "expired": JobState.FAILED,
    "cancelled": JobState.CANCELLED,
}


class OpenAIJobs:
    """Jobs at an address of OpenAI's kind.

    Args:
        base_url: Up to and including `/v1`; at Azure `https://RESOURCE.openai.azure.com/openai/v1`.
    """

    gives_job_ids = False

    def __init__(self, base_url: str = OPENAI_BASE_URL, *, http_client: httpx2.Client | None = None) -> None:
        key = endpoint_key(base_url)
        if key is None and http_client is None:
            raise ConfigError(f"{base_url} needs a key; {how_to_give_key(base_url)}")
        self._is_azure = is_azure(base_url)
        self.name = "Azure OpenAI" if self._is_azure else "OpenAI"
        # No retries of the library's: a job whose reply was lost would be made twice.
        self._client = openai.OpenAI(
            base_url=base_url,
            api_key=key or "none",
            max_retries=0,
            http_client=connection_to(base_url, key=key, client=http_client),
        )

    def upload(self, name: str, content: bytes) -> str:
        """Send a file; at Azure with the byte-order mark that it wants."""
        mark = "\N{ZERO WIDTH NO-BREAK SPACE}".encode() if self._is_azure else b""
        with told_by(self.name, f"uploading {name}"):
            return self._client.files.create(file=(name, mark + content), purpose="fine-tune").id

    def find_file(self, name: str) -> str | None:
        """The file of that name."""
        with told_by(self.name, "listing files"):
            return next(
                (file.id for file in self._client.files.list(purpose="fine-tune") if file.filename == name), None
            )

    def is_file_ready(self, file_id: str) -> bool:
        """Whether it was read."""
        with told_by(self.name, f"reading the state of file {file_id}"):
            file = self._client.files.retrieve(file_id)
        if file.status == "error":
            raise HostedTuningError(f"{self.name} cannot read the file: {file.status_details or 'no reason given'}")
        # OpenAI calls a file that tuning can use "uploaded" or "processed", Azure "processed" alone.
        return file.status == "processed" or (file.status == "uploaded" and not self._is_azure)

    def create(self, request: TuneRequest, mark: str, train_file: str, validation_file: str | None) -> HostedJob:
        """Start a supervised job."""
        method: Any = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": request.epochs}}}
        options: dict[str, Any] = {"validation_file": validation_file} if validation_file else {}
        with told_by(self.name, "creating the job"):
            return self._read(
                self._client.fine_tuning.jobs.create(
                    model=request.model,
                    training_file=train_file,
                    seed=request.seed,
                    suffix=mark[-18:],
                    metadata={MARK: mark},
                    method=method,
                    **options,
                )
            )

    def find_job(self, mark: str) -> HostedJob | None:
        """By the metadata, among all jobs: not every address filters by it."""
        with told_by(self.name, "listing jobs"):
            jobs = self._client.fine_tuning.jobs.list(limit=100)
            return next((self._read(job) for job in jobs if (job.metadata or {}).get(MARK) == mark), None)

    def job(self, job_id: str) -> HostedJob:
        """By its id."""
        with told_by(self.name, f"reading job {job_id}"):
            return self._read(self._client.fine_tuning.jobs.retrieve(job_id))

    def cancel(self, job_id: str) -> None:
        """Stop it."""
        with told_by(self.name, f"cancelling job {job_id}"):
            self._client.fine_tuning.jobs.cancel(job_id)

    def delete_file(self, file_id: str) -> None:
        """Remove it."""
        with unless_gone(), told_by(self.name, f"deleting file {file_id}"):
            self._client.files.delete(file_id)

    def refusal(self, model: str) -> str:
        """OpenAI's tuned models answer at once; at Azure they must be deployed, which costs by the hour."""
        try:
            with told_by(self.name, f"asking {model}"):
                self._client.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": "Hello"}], max_completion_tokens=16
                )
        except HostedTuningError as error:
            deploy = f"deploy {model} in the resource and ask it by the deployment's name (it then costs by the hour)"
            remedy = deploy if self._is_azure else "see whether its base model was retired"
            return f"{error}; {remedy}"
        return ""

    def _read(self, job: FineTuningJob) -> HostedJob:
        state = _STATES.get(job.status, JobState.RUNNING)
        detail = str(job.status)
        if job.error is not None and job.error.message:
            where = f" ({job.error.param})" if job.error.param else ""
            detail = f"{job.status}: {job.error.message}{where}"
        return HostedJob(job.id, state, detail, job.fine_tuned_model or None, job.trained_tokens)
