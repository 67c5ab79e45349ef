"""Uploads on their way to the process that checks them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.to_thread
import httpx
import pytest

import service.api.upload as upload_module
from tests.service.api.conftest import LOCAL, Api


def test_thousands_of_files_are_taken_apart_by_another_process_and_leave_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("starlette.requests.Request.form", lambda *_, **__: pytest.fail("the API read it"))
    questions = "question,answer\n" + "".join(f"How long is warranty {i}?,two years\n" for i in range(10))
    files = [("files", (f"{i}.md", b"Warranty %d" % i)) for i in range(3000)]
    told = api.client().post("/v1/datasets/validate", files=[*files, ("files", ("q.csv", questions.encode()))])
    assert (told.status_code, told.json()["n_documents"]) == (200, 3000)
    assert list((api.home / "incoming").iterdir()) == []


@pytest.mark.parametrize("body", [b"--b", b"--b\r\nContent-Disposition"])
def test_a_body_that_breaks_off_leaves_nothing(api: Api, body: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert api.client().post("/v1/datasets", content=body, headers=headers).status_code == 422
    assert list((api.home / "incoming").iterdir()) == []


def test_uploads_that_wait_to_be_checked_keep_nobody_else_waiting(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    free, n_threads, n_uploads = threading.Event(), 3, 8
    monkeypatch.setattr(upload_module.PreparingProcess, "run", lambda *_: free.wait())
    preparing = ThreadPoolExecutor(2)
    monkeypatch.setattr(upload_module, "_preparing", preparing)

    async def ask() -> int:
        anyio.to_thread.current_default_thread_limiter().total_tokens = n_threads
        transport = httpx.ASGITransport(api.app, client=("127.0.0.1", 50_000), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=LOCAL) as client, anyio.create_task_group() as tasks:
            for _ in range(n_uploads):
                tasks.start_soon(lambda: client.post("/v1/datasets/validate", files={"files": ("a.md", b"A")}))
            with anyio.fail_after(30):
                while preparing._work_queue.qsize() < n_uploads - 2:
                    await anyio.sleep(0.01)
                status = (await client.get("/v1/keys")).status_code
            free.set()
            return status

    try:
        assert anyio.run(ask) == 200
    finally:
        free.set()
        preparing.shutdown()
