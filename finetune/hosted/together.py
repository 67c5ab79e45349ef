"""Tuning at Together AI by its REST API (docs.together.ai/reference, read in November 2026)."""

import os
from typing import Any

import httpx2

from finetune.hosted.provider import HostedJob, HostedTuningError, JobState, TuneRequest
from finetune.hosted.replies import told_by, unless_gone
from lm.endpoint.connection import connection_to
from lm.errors import ConfigError

BASE_URL = "https://api.together.ai/v1"
KEY = "TOGETHER_API_KEY"

_STATES = {
    "pending": JobState.QUEUED,
    "queued": JobState.QUEUED,
    "running": JobState.RUNNING,
    "compressing": JobState.RUNNING,
    "uploading": JobState.RUNNING,
    "cancel_requested": JobState.RUNNING,
    "completed": JobState.SUCCEEDED,
    "error": JobState.FAILED,
    "user_error": JobState.FAILED,
    "expired": JobState.FAILED,
    "cancelled": JobState.CANCELLED,
}


class Together:
    """LoRA jobs at Together AI; a job's mark is the suffix of its model's name."""

    name = "Together AI"
    gives_job_ids = False

    def __init__(self, base_url: str = BASE_URL, *, http_client: httpx2.Client | None = None) -> None:
        key = os.environ.get(KEY)
        if not key and http_client is None:
            raise ConfigError(f"Together AI needs a key; set {KEY} in the environment")
        self._url = base_url
        self._http = connection_to(base_url, key=key, client=http_client)
        self._headers = {"Authorization": f"Bearer {key or 'none'}"}

    def upload(self, name: str, content: bytes) -> str:
        """Send a file."""
        fields = {"purpose": "fine-tune", "file_name": name, "file_type": "jsonl"}
        files = {"file": (name, content)}
        return str(self._send("POST", "/files/upload", f"uploading {name}", data=fields, files=files)["id"])

    def find_file(self, name: str) -> str | None:
        """The file of that name."""
        files = self._send("GET", "/files", "listing files")["data"]
        return next((str(file["id"]) for file in files if file.get("filename") == name), None)

    def is_file_ready(self, file_id: str) -> bool:
        """Whether Together has processed it."""
        return bool(
            self._send("GET", f"/files/{file_id}", f"reading the state of file {file_id}").get("Processed", True)
        )

    def create(self, request: TuneRequest, mark: str, train_file: str, validation_file: str | None) -> HostedJob:
        """Start a LoRA job; the loss is taken over answers alone."""
        body: dict[str, Any] = {
            "model": request.model,
            "training_file": train_file,
            "n_epochs": request.epochs,
            "suffix": mark,
            "training_type": {"type": "Lora", "lora_r": request.rank, "lora_alpha": 2 * request.rank},
            "training_method": {"method": "sft", "train_on_inputs": False},
        }
        if validation_file:
            body |= {"validation_file": validation_file, "n_evals": request.epochs}
        if request.learning_rate is not None:
            body["learning_rate"] = request.learning_rate
        return self._read(self._send("POST", "/fine-tunes", "creating the job", json=body))

    def find_job(self, mark: str) -> HostedJob | None:
        """By the suffix, which is part of the model's name."""
        jobs = self._send("GET", "/fine-tunes", "listing jobs")["data"]
        return next(
            (self._read(j) for j in jobs if j.get("suffix") == mark or mark in str(j.get("model_output_name"))), None
        )

    def job(self, job_id: str) -> HostedJob:
        """By its id."""
        return self._read(self._send("GET", f"/fine-tunes/{job_id}", f"reading job {job_id}"))

    def cancel(self, job_id: str) -> None:
        """Stop it."""
        self._send("POST", f"/fine-tunes/{job_id}/cancel", f"cancelling job {job_id}")

    def delete_file(self, file_id: str) -> None:
        """Remove it."""
        with unless_gone():
            self._send("DELETE", f"/files/{file_id}", f"deleting file {file_id}")

    def refusal(self, model: str) -> str:
        """Some bases serve adapters at once; the others need an endpoint of their own, which costs by the hour."""
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
        try:
            self._send("POST", "/chat/completions", f"asking {model}", json=body)
        except HostedTuningError as error:
            return f"{error}; create a dedicated endpoint (it costs by the hour), or tune a base with serverless LoRA"
        return ""

    def _send(self, method: str, path: str, what: str, **options: Any) -> Any:
        with told_by(self.name, what):
            reply = self._http.request(method, f"{self._url}{path}", headers=self._headers, **options)
            reply.raise_for_status()
            return reply.json()

    def _read(self, job: dict[str, Any]) -> HostedJob:
        state = _STATES.get(str(job["status"]), JobState.RUNNING)
        events = [str(event.get("message", "")) for event in job.get("events") or []]
        detail = ": ".join([str(job["status"]), *(events[-1:] if state is JobState.FAILED else [])])
        model = job.get("model_output_name") if state is JobState.SUCCEEDED else None
        return HostedJob(str(job["id"]), state, detail, model, job.get("token_count") or None)
