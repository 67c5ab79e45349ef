"""Tuning at Fireworks AI by its REST API (docs.fireworks.ai/api-reference, read in November 2026)."""

import os
from typing import Any

import httpx2

from finetune.hosted.provider import HostedJob, HostedTuningError, JobState, TuneRequest, UnsureError
from finetune.hosted.replies import is_gone, told_by, unless_gone
from lm.endpoint.connection import connection_to
from lm.errors import ConfigError

BASE_URL = "https://api.fireworks.ai"
KEY, ACCOUNT = "FIREWORKS_API_KEY", "FIREWORKS_ACCOUNT_ID"

_STATES = {
    "JOB_STATE_CREATING": JobState.QUEUED,
    "JOB_STATE_PENDING": JobState.QUEUED,
    "JOB_STATE_VALIDATING": JobState.VALIDATING,
    "JOB_STATE_COMPLETED": JobState.SUCCEEDED,
    "JOB_STATE_FAILED": JobState.FAILED,
    "JOB_STATE_EXPIRED": JobState.FAILED,
    "JOB_STATE_CANCELLED": JobState.CANCELLED,
}


class Fireworks:
    """LoRA jobs at Fireworks AI. Files and jobs are named by us, so that the same mark makes neither twice."""

    name = "Fireworks AI"
    gives_job_ids = True

    def __init__(
        self, base_url: str = BASE_URL, *, account: str | None = None, http_client: httpx2.Client | None = None
    ) -> None:
        key, account = os.environ.get(KEY), account or os.environ.get(ACCOUNT)
        if (not key and http_client is None) or not account:
            raise ConfigError(f"Fireworks AI needs a key and an account; set {KEY} and {ACCOUNT} in the environment")
        self._root = base_url
        self._account = f"accounts/{account}"
        self._http = connection_to(base_url, key=key, client=http_client)
        self._headers = {"Authorization": f"Bearer {key or 'none'}"}

    def upload(self, name: str, content: bytes) -> str:
        """Send a file as a dataset of that name, without the ending."""
        dataset = name.removesuffix(".jsonl")
        body = {"datasetId": dataset, "dataset": {"userUploaded": {}, "exampleCount": str(content.count(b"\n"))}}
        try:
            self._send("POST", "/datasets", f"making the dataset {dataset}", json=body)
        except UnsureError as error:
            if _status(error) != 409:
                raise
        self._send("POST", f"/datasets/{dataset}:upload", f"uploading {name}", files={"file": (name, content)})
        return dataset

    def find_file(self, name: str) -> str | None:
        """The dataset of that name, if its rows have arrived."""
        dataset = name.removesuffix(".jsonl")
        try:
            found = self._send("GET", f"/datasets/{dataset}", f"reading dataset {dataset}")
        except HostedTuningError as error:
            if is_gone(error):
                return None
            raise
        return dataset if found.get("state") == "READY" else None

    def is_file_ready(self, file_id: str) -> bool:
        """Whether Fireworks has checked it."""
        found = self._send("GET", f"/datasets/{file_id}", f"reading dataset {file_id}")
        status = found.get("status") or {}
        if status.get("code", "OK") != "OK":
            raise HostedTuningError(f"{self.name} cannot read the file: {status.get('message') or status['code']}")
        return bool(found.get("state") == "READY")

    def create(self, request: TuneRequest, mark: str, train_file: str, validation_file: str | None) -> HostedJob:
        """Start a job whose id is the mark; where it is there already, that one."""
        body: dict[str, Any] = {
            "baseModel": request.model,
            "dataset": f"{self._account}/datasets/{train_file}",
            "outputModel": f"{self._account}/models/{mark}",
            "epochs": request.epochs,
            "loraRank": request.rank,
            "evalAutoCarveout": False,
        }
        if validation_file:
            body["evaluationDataset"] = f"{self._account}/datasets/{validation_file}"
        if request.learning_rate is not None:
            body["learningRate"] = request.learning_rate
        try:
            path = f"/supervisedFineTuningJobs?supervisedFineTuningJobId={mark}"
            return self._read(self._send("POST", path, "creating the job", json=body))
        except UnsureError as error:
            if _status(error) != 409:
                raise
            return self.job(mark)

    def find_job(self, mark: str) -> HostedJob | None:
        """By its id, which is the mark."""
        try:
            return self.job(mark)
        except HostedTuningError as error:
            if is_gone(error):
                return None
            raise

    def job(self, job_id: str) -> HostedJob:
        """By its id."""
        return self._read(self._send("GET", f"/supervisedFineTuningJobs/{job_id}", f"reading job {job_id}"))

    def cancel(self, job_id: str) -> None:
        """Stop it: the documented REST API has no cancelling, so the job is deleted."""
        self._send("DELETE", f"/supervisedFineTuningJobs/{job_id}", f"cancelling job {job_id}")

    def delete_file(self, file_id: str) -> None:
        """Remove the dataset."""
        with unless_gone():
            self._send("DELETE", f"/datasets/{file_id}", f"deleting dataset {file_id}")

    def refusal(self, model: str) -> str:
        """Tuned models answer once they are deployed."""
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
        try:
            with told_by(self.name, f"asking {model}"):
                url = f"{self._root}/inference/v1/chat/completions"
                self._http.post(url, headers=self._headers, json=body).raise_for_status()
        except HostedTuningError as error:
            return f"{error}; deploy it with `firectl create deployment {model}` (it costs by the hour)"
        return ""

    def _send(self, method: str, path: str, what: str, **options: Any) -> Any:
        with told_by(self.name, what):
            url = f"{self._root}/v1/{self._account}{path}"
            reply = self._http.request(method, url, headers=self._headers, **options)
            reply.raise_for_status()
            return reply.json() if reply.content else {}

    def _read(self, job: dict[str, Any]) -> HostedJob:
        state = _STATES.get(str(job.get("state")), JobState.RUNNING)
        message = (job.get("status") or {}).get("message")
        detail = f"{job.get('state')}: {message}" if message else str(job.get("state"))
        model = job.get("outputModel") if state is JobState.SUCCEEDED else None
        return HostedJob(str(job["name"]).rpartition("/")[2], state, detail, model)


def _status(error: HostedTuningError) -> int | None:
    return getattr(getattr(error.__cause__, "response", None), "status_code", None)
