"""Providers of hosted tuning that behave as documented, without a network: their state, faults and a virtual clock."""

import json
import re
from collections.abc import Callable
from typing import Any

import httpx2


class KilledError(BaseException):
    """The process ended here, as by kill -9: nothing of it runs on."""


class Clock:
    """Virtual seconds."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Replay:
    """A provider's jobs and files.

    Attributes:
        script: What a job's state is from which second of its life on; the last one stays.
        kill_before, kill_after: Number of the request before or after which the client's process ends.
        faults: Replies to give instead, by the number of the request.
    """

    def __init__(self, clock: Clock, script: list[tuple[float, dict[str, Any]]]) -> None:
        self.clock, self.script = clock, script
        self.files: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.kill_before: int | None = None
        self.kill_after: int | None = None
        self.faults: dict[int, Callable[[], httpx2.Response]] = {}
        self.listing_lag_s = 0.0
        self.model_answers = True

    def client(self) -> httpx2.Client:
        return httpx2.Client(transport=httpx2.MockTransport(self._handle))

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        number = len(self.requests)
        self.requests.append(f"{request.method} {request.url.path}")
        if number == self.kill_before:
            raise KilledError
        if number in self.faults:
            return self.faults[number]()
        reply = self.reply(request)
        if number == self.kill_after:
            raise KilledError
        return reply

    def reply(self, request: httpx2.Request) -> httpx2.Response:
        raise NotImplementedError

    def state(self, job: dict[str, Any]) -> dict[str, Any]:
        age_s = self.clock.now_s - job["created_s"]
        return [told for since_s, told in self.script if since_s <= age_s][-1]

    def listed(self) -> list[dict[str, Any]]:
        return [job for job in self.jobs.values() if self.clock.now_s - job["created_s"] >= self.listing_lag_s]


def answered(body: Any, status: int = 200, **headers: str) -> httpx2.Response:
    return httpx2.Response(status, json=body, headers=headers)


def failed(status: int, message: str, **headers: str) -> Callable[[], httpx2.Response]:
    body = {"error": {"message": message, "type": "x", "code": None}}
    return lambda: answered(body, status, **{name.replace("_", "-"): value for name, value in headers.items()})


class OpenAIReplay(Replay):
    """OpenAI's and Azure OpenAI's files and fine-tuning jobs."""

    def reply(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.rpartition("/v1")[2]
        if path == "/files" and request.method == "POST":
            name = re.search(rb'filename="([^"]+)"', request.content)
            assert name is not None
            file_id = f"file-{len(self.files)}"
            self.files[file_id] = {
                "id": file_id, "object": "file", "bytes": len(request.content), "created_at": 0, "status": "processed",
                "filename": name[1].decode(), "purpose": "fine-tune",
            }  # fmt: skip
            return answered(self.files[file_id])
        if path == "/files":
            return answered({"object": "list", "data": list(self.files.values()), "has_more": False})
        if path.startswith("/files/"):
            file_id = path.rpartition("/")[2]
            if file_id not in self.files:
                return failed(404, "no such file")()
            if request.method == "DELETE":
                del self.files[file_id]
                return answered({"id": file_id, "object": "file", "deleted": True})
            return answered(self.files[file_id])
        if path == "/fine_tuning/jobs" and request.method == "POST":
            asked = json.loads(request.content)
            job_id = f"ftjob-{len(self.jobs)}"
            self.jobs[job_id] = {"asked": asked, "created_s": self.clock.now_s}
            return answered(self._job(job_id))
        if path == "/fine_tuning/jobs":
            ids = [job_id for job_id, job in self.jobs.items() if job in self.listed()]
            return answered({"object": "list", "data": [self._job(i) for i in ids], "has_more": False})
        if path.startswith("/fine_tuning/jobs/"):
            return answered(self._job(path.split("/")[3]))
        assert path == "/chat/completions", path
        if not self.model_answers:
            return failed(404, "The API deployment for this resource does not exist")()
        message = {"role": "assistant", "content": "Hi"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return answered({"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]})

    def _job(self, job_id: str) -> dict[str, Any]:
        job = self.jobs[job_id]
        base: dict[str, Any] = {
            "id": job_id, "object": "fine_tuning.job", "created_at": 0, "error": None, "fine_tuned_model": None,
            "finished_at": None, "hyperparameters": {"n_epochs": 3}, "model": job["asked"]["model"],
            "organization_id": "org", "result_files": [], "seed": 0, "status": "queued", "trained_tokens": None,
            "training_file": job["asked"]["training_file"], "validation_file": None,
            "metadata": job["asked"].get("metadata"),
        }  # fmt: skip
        return base | self.state(job)


class TogetherReplay(Replay):
    """Together AI's files and fine-tunes."""

    def reply(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.rpartition("/v1")[2]
        if path == "/files/upload":
            name = re.search(rb'name="file_name"\r\n\r\n([^\r]+)', request.content)
            assert name is not None
            file_id = f"file-{len(self.files)}"
            self.files[file_id] = {"id": file_id, "filename": name[1].decode(), "Processed": True}
            return answered(self.files[file_id])
        if path == "/files":
            return answered({"data": list(self.files.values())})
        if path.startswith("/files/"):
            file_id = path.rpartition("/")[2]
            return answered(self.files.pop(file_id) if request.method == "DELETE" else self.files[file_id])
        if path == "/fine-tunes" and request.method == "POST":
            job_id = f"ft-{len(self.jobs)}"
            self.jobs[job_id] = {"asked": json.loads(request.content), "created_s": self.clock.now_s}
            return answered(self._job(job_id))
        if path == "/fine-tunes":
            ids = [job_id for job_id, job in self.jobs.items() if job in self.listed()]
            return answered({"data": [self._job(i) for i in ids]})
        if path.startswith("/fine-tunes/"):
            return answered(self._job(path.split("/")[2]))
        assert path == "/chat/completions", path
        return answered({"choices": []}) if self.model_answers else failed(400, "model_not_available")()

    def _job(self, job_id: str) -> dict[str, Any]:
        job = self.jobs[job_id]
        name = f"me/base:{job['asked']['suffix']}:{job_id}"
        return {"id": job_id, "status": "pending", "model_output_name": name, "events": []} | self.state(job)


class FireworksReplay(Replay):
    """Fireworks AI's datasets and supervised fine-tuning jobs."""

    def reply(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path.startswith("/inference"):
            return answered({"choices": []}) if self.model_answers else failed(404, "Model not found or not deployed")()
        path = request.url.path.removeprefix("/v1/accounts/me")
        if path == "/datasets":
            name = json.loads(request.content)["datasetId"]
            if name in self.files:
                return failed(409, "exists")()
            self.files[name] = {"state": "UPLOADING"}
            return answered({"name": f"accounts/me/datasets/{name}"})
        if path.startswith("/datasets/"):
            name, _, action = path.rpartition("/")[2].partition(":")
            if name not in self.files:
                return failed(404, "no such dataset")()
            if action == "upload":
                self.files[name]["state"] = "READY"
            if request.method == "DELETE":
                del self.files[name]
                return answered({})
            return answered(self.files[name])
        if request.method == "POST":
            mark = request.url.params["supervisedFineTuningJobId"]
            if mark in self.jobs:
                return failed(409, "exists")()
            self.jobs[mark] = {"asked": json.loads(request.content), "created_s": self.clock.now_s}
            return answered(self._job(mark))
        mark = path.rpartition("/")[2]
        return answered(self._job(mark)) if mark in self.jobs else failed(404, "no such job")()

    def _job(self, mark: str) -> dict[str, Any]:
        job = self.jobs[mark]
        name = f"accounts/me/supervisedFineTuningJobs/{mark}"
        return {"name": name, "outputModel": job["asked"]["outputModel"]} | self.state(job)
