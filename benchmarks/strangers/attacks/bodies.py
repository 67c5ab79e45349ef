"""What strangers send to be read: data files, JSON, schemas, archives."""

import http.client
import io
import json
import random
import time
import uuid
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.synchronize import Event

from benchmarks.strangers.target import UNANSWERED, Heard, Target, ask, at_once
from tests.chaos.workplace import CARD, dataset_of

_DOCUMENT = b'{"id": "d", "title": "Thing", "text": "A thing."}\n'


def near_duplicates(target: Target, heard: Heard, over: Event) -> None:
    """Files of 200 KB whose questions are all nearly the same, and nobody who waits for what comes of them."""
    lot = random.Random(0)
    words = [f"w{i}" for i in range(30)]
    rows = []
    while len("\n".join(rows)) < 200_000:
        said = " ".join(lot.choice(words) for _ in range(12))
        row = {"id": str(len(rows)), "question": said, "answers": ["yes"], "group": str(len(rows))}
        rows.append(json.dumps(row))
    body, kind = multipart({"questions.jsonl": "\n".join(rows).encode(), "dataset.toml": CARD.encode()})

    def send(_: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=0.5)
        headers = {"Authorization": f"Bearer {target.keys['reader']}", "Content-Type": kind}
        try:
            connection.request("POST", "/v1/datasets/validate", body, headers)
            reply = connection.getresponse()
            heard.note(reply.status, dict(reply.getheaders()), reply.read())
        except (OSError, http.client.HTTPException):
            heard.note(UNANSWERED)
        finally:
            connection.close()

    at_once(6, over, send)


def archives(target: Target, heard: Heard, over: Event) -> None:
    """Archives that unpack to much, with names that lead out of them, and forms of very many parts."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("questions.jsonl", bytes(200 * 2**20))
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as archive:
        for i in range(20_000):
            archive.writestr(f"../../{i}.md" if i % 2 else f"a/../..//{i}\\..\\b.md", b"x")
    sent = (
        multipart({"data.zip": packed.getvalue()}),
        multipart({"data.zip": many.getvalue()}),
        multipart({f"..%2f..{i}/\x2e\x2e/{i}.md": b"" for i in range(20_000)}),
    )

    def send(number: int) -> None:
        body, kind = sent[number % len(sent)]
        key = "reader" if number % 2 else "runner"
        path = "/v1/datasets/validate" if number % 2 else "/v1/datasets"
        ask(target, heard, "POST", path, key=key, body=body, headers={"Content-Type": kind})

    at_once(6, over, send)


def json_bodies(target: Target, heard: Heard, over: Event) -> None:
    """JSON that is deep, wide, or full of numbers and names, with and without a key."""
    limit = 4 * 2**20 - 100
    sent = (
        "[" * limit,
        "[" + "[]," * (limit // 3 - 2) + "[]]",
        '{"a":' * 60 + "[" + "1," * 1_500_000 + "1]" + "}" * 60,
        '{"dataset": ' + "9" * 1_000_000 + "}",
        "{" + ",".join(f'"k{i}": 1' for i in range(200_000)) + "}",
        '{"dataset": "' + "\\ud800" * 300_000 + '"}',
        '{"dataset": "x", "arms": [' + ",".join(['"base"'] * 300_000) + "]}",
        '"' + '\\"' * 2_000_000,
    )
    paths = ("/v1/comparisons/estimate", "/v1/comparisons", "/v1/advise", "/v1/chat/completions")

    def send(number: int) -> None:
        for i, body in enumerate(sent[number % 2 :: 2]):
            key = (None, "reader", "runner", "tf_" + "x" * 40)[(i + number) % 4]
            ask(target, heard, "POST", paths[(i + number) % 4], key=key, body=body)

    at_once(4, over, send)


def schemas(target: Target, heard: Heard, over: Event) -> None:
    """Datasets whose schema has a regular expression that others take for ever to match."""
    patterns = ("^(a+)+$", "^(a|a)*b$", "(x+x+)+y", "^(?=(a+))\\1+b", "(.*)*=", "^((a{1,100}){1,100}){1,100}$")

    def send(number: int) -> None:
        pattern = patterns[number % len(patterns)]
        schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}, "required": ["a"]}
        card = CARD.replace('"question-answering"', '"extraction"').replace(
            '["exact_match", "token_f1", "abstention"]', '["json_valid"]'
        )
        answer = json.dumps({"a": "a" * 5000 + "!"})
        rows = [
            {"id": str(i), "question": f"Extract {i} {uuid.uuid4()}", "answers": [answer], "group": str(i)}
            for i in range(60)
        ]
        files = {
            "dataset.toml": (card + 'schema = "schema.json"\n').encode(),
            "schema.json": json.dumps(schema).encode(),
            "documents.jsonl": _DOCUMENT,
            "questions.jsonl": "\n".join(map(json.dumps, rows)).encode(),
        }
        body, kind = multipart(files)
        path = ("/v1/datasets", "/v1/datasets/validate")[number % 2]
        status, content = ask(target, heard, "POST", path, key="runner", body=body, headers={"Content-Type": kind})
        if status == 201:
            version = json.loads(content)["version"]
            model = f"openai:echo@{target.endpoint}"
            request = json.dumps({"dataset": version, "model": model, "arms": ["base"]})
            ask(target, heard, "POST", "/v1/comparisons", key="runner", body=request)
        elif not heard.notes and status not in (0, 503):
            with suppress(ValueError):
                heard.notes.append(str(content[:200]))

    at_once(4, over, send)


def blobs(target: Target, heard: Heard, over: Event) -> None:
    """Comparisons that hold 4 MB of a stranger's own answers each, listed over and over."""
    files = dataset_of(200)
    body, kind = multipart(files)
    status, content = ask(
        target, heard, "POST", "/v1/datasets", key="runner", body=body, headers={"Content-Type": kind}
    )
    if status not in (200, 201):
        heard.blame(f"the dataset was refused: {content[:200]!r}")
        return
    version = json.loads(content)["version"]
    answers = "\n".join(json.dumps({"id": f"t{i}", "text": "a" * 19_000}) for i in range(200))
    request = {"dataset": version, "arms": ["own=answers:a.jsonl"], "files": {"a.jsonl": answers}}
    for i in range(60):
        request["name"] = f"large {i}"
        status, content = ask(target, heard, "POST", "/v1/comparisons", key="runner", body=json.dumps(request))
    heard.notes.append(f"{heard.counts[202]} comparisons of {len(json.dumps(request)) / 1e6:.1f} MB")
    if not heard.counts[202]:
        heard.blame(f"no comparison was taken: {content[:300]!r}")
    at_once(8, over, lambda _: ask(target, heard, "GET", "/v1/comparisons?limit=200", key="reader"))


def many_questions(n: int) -> dict[str, bytes]:
    """The files of a dataset like no other."""
    rows = [
        {"id": str(i), "question": f"What is {uuid.uuid4()}?", "answers": [str(i)], "group": str(i)} for i in range(n)
    ]
    questions = "\n".join(map(json.dumps, rows)).encode()
    return {"questions.jsonl": questions, "documents.jsonl": _DOCUMENT, "dataset.toml": CARD.encode()}


def large_datasets(target: Target, heard: Heard, over: Event) -> None:
    """Two datasets of 100,000 questions read page by page from several at once, while others are uploaded."""

    def act(number: int) -> None:
        if number < 2:
            body, kind = multipart(many_questions(20_000))
            headers = {"Content-Type": kind}
            ask(target, heard, "POST", "/v1/datasets", key="runner", body=body, headers=headers)
            return
        version = target.ids[f"large {number % 2}"]
        for path in ("", f"/examples?limit=500&offset={number * 1000}", "/examples?contains=9f9", "/documents"):
            ask(target, heard, "GET", f"/v1/datasets/{version}{path}", key="reader")

    at_once(6, over, act)


def multipart(files: Mapping[str, bytes]) -> tuple[bytes, str]:
    """A form of files, and its content type."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in files.items()
    ]
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def many_keys(target: Target, heard: Heard, over: Event) -> None:
    """As many comparisons as are taken, each with an idempotency key of its own, and what waits cancelled again."""
    request = json.dumps(
        {"dataset": target.ids["dataset"], "model": f"openai:echo@{target.endpoint}", "arms": ["base"]}
    )

    def send(number: int) -> None:
        headers = {"Idempotency-Key": uuid.uuid4().hex * 6}
        status, content = ask(target, heard, "POST", "/v1/comparisons", key="runner", body=request, headers=headers)
        if status == 202 and number % 2:
            ask(target, heard, "POST", f"/v1/comparisons/{json.loads(content)['id']}/cancel", key="runner", body="")
        time.sleep(0.01)

    at_once(4, over, send)
