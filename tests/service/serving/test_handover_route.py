"""Handing an arm over, over HTTP."""

import io
import json
import zipfile
from typing import Any

HANDOVER = "/v1/comparisons/one/pipelines/rag/handover"


def test_an_arm_comes_as_an_archive_with_its_readme_and_hashes(service: Any) -> None:
    reply = service.client.post(f"{HANDOVER}/openai")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
        assert names == {"README.md", "handover.json", "train.jsonl", "validation.jsonl"}
        assert archive.testzip() is None
        row = json.loads(archive.read("tiny-rag-openai/train.jsonl").splitlines()[0])
    assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"]


def test_the_targets_are_listed_with_what_they_are_given(service: Any) -> None:
    listed = service.client.get("/v1/handover-targets").json()["items"]
    assert {"peft", "openai", "ollama", "app"} <= {one["name"] for one in listed}
    assert all(one["description"] for one in listed)


def test_what_cannot_be_handed_over_says_why(service: Any) -> None:
    scripted = service.client.post(f"{HANDOVER}/merged")
    assert scripted.status_code == 422
    assert "rag has no weights on this machine" in scripted.json()["detail"]
    assert service.client.post(f"{HANDOVER}/nowhere").status_code == 422
    assert service.client.post("/v1/comparisons/one/pipelines/fine-tuned/handover/openai").status_code == 404
