import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.contract.comparison_state import ComparisonState
from service.contract.scope import Scope
from service.store.bundled_datasets import bundled_datasets
from tests.service.api.conftest import FILES, Api
from tests.service.safety.conftest import zipped
from tests.service.safety.malicious_artifacts import ARTIFACTS

TABLE = "question,answer,document\nဘယ်လောက်ကြာလဲ?,နှစ်နှစ်,လက်စွဲ\nكم المدة؟,سنتان 😀,لك\n"


def upload(client: TestClient, files: Mapping[str, bytes], path: str = "/v1/datasets", **fields: str) -> Any:
    return client.post(path, files=[("files", item) for item in files.items()], data=fields)


def test_an_upload_is_a_version_by_its_content(client: TestClient) -> None:
    first = upload(client, FILES, name="mine")
    assert first.status_code == 201
    made = first.json()
    assert first.headers["Location"] == f"/v1/datasets/{made['version']}"
    assert (made["name"], made["n_documents"], sum(made["split_sizes"].values())) == ("mine", 1, 10)
    assert not made["bundled"]
    again = upload(client, {"mine.zip": zipped(FILES)})
    assert (again.status_code, again.json()["version"]) == (200, made["version"])
    assert upload(client, FILES, name="other").json()["version"] != made["version"]


def test_texts_of_any_script_come_back_unharmed(client: TestClient) -> None:
    files = {"လက်စွဲ.md": "# အာမခံ\nနှစ်နှစ်".encode(), "لك.txt": "سنتان 😀".encode(), "q.csv": TABLE.encode()}
    made = upload(client, files, name="ဒေတာ 😀").json()
    assert made["name"] == "ဒေတာ 😀"
    examples = client.get(f"/v1/datasets/{made['version']}/examples").json()["items"]
    assert [(one["question"], one["answers"]) for one in examples] == [
        ("ဘယ်လောက်ကြာလဲ?", ["နှစ်နှစ်"]),
        ("كم المدة؟", ["سنتان 😀"]),
    ]
    documents = client.get(f"/v1/datasets/{made['version']}/documents").json()["items"]
    assert {one["id"]: one["text"] for one in documents} == {"လက်စွဲ": "# အာမခံ\nနှစ်နှစ်", "لك": "سنتان 😀"}


@pytest.mark.parametrize("name", [None, "claims-to-json"])
def test_files_come_back_and_give_the_same_version(client: TestClient, name: str | None) -> None:
    version = name or upload(client, FILES, name="mine").json()["version"]
    response = client.get(f"/v1/datasets/{version}/files.zip")
    assert response.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        files = {one: archive.read(one) for one in archive.namelist()}
    again = upload(client, files)
    if name is None:
        assert (again.status_code, again.json()["version"]) == (200, version)
    else:
        assert again.status_code == 201
        assert not any(one["check"] == "left out" for one in again.json()["findings"])
        assert "schema.json" in files
    assert client.get("/v1/datasets/nope/files.zip").status_code == 404


def test_questions_are_filtered_by_slice(client: TestClient) -> None:
    path, params = "/v1/datasets/appliance-support/examples", {"split": "test", "slice": "unanswerable"}
    page = client.get(path, params=params).json()
    assert page["total"] == client.get("/v1/datasets/appliance-support").json()["slice_sizes"]["unanswerable"]
    assert not any(one["answerable"] for one in page["items"])


def test_an_unfit_upload_is_refused_with_file_line_and_remedy(client: TestClient) -> None:
    response = upload(client, {**FILES, "questions.jsonl": b'{"id": "q", "question": "?"}\n', "m.pkl": b"x"})
    assert response.status_code == 422
    assert [(one["file"], one["line"]) for one in response.json()["problems"]] == [("m.pkl", None)]
    response = upload(client, {**FILES, "questions.jsonl": b'{"id": "q", "question": "?"}\n'})
    problem = response.json()["problems"][0]
    assert (problem["file"], problem["line"]) == ("questions.jsonl", 1)
    assert "add a list" in problem["message"]
    assert client.get("/v1/datasets").json()["total"] == len(bundled_datasets())


def test_what_became_of_every_file_is_told(client: TestClient) -> None:
    files = {
        "a.html": b"<h1>A</h1>x",
        "scan.pdf": b"%PDF-1.4",
        "x.png": b"\x89",
        "q.csv": b"question,answer\nWhy?,x\nHow?,y\n",
    }
    wanted = {
        "a.html": ("document", "a"),
        "scan.pdf": ("not read", ""),
        "x.png": ("left out", ""),
        "q.csv": ("questions", ""),
    }
    for path in ("/v1/datasets/validate", "/v1/datasets"):
        told = upload(client, files, path).json()["files"]
        assert {one["name"]: (one["fate"], one["document_id"]) for one in told} == wanted
        assert all(one["detail"] for one in told if one["fate"] in ("not read", "left out"))


def test_validating_stores_nothing(client: TestClient) -> None:
    good = upload(client, FILES, "/v1/datasets/validate").json()
    assert (good["usable"], good["n_documents"], good["problems"]) == (True, 1, [])
    assert any(finding["severity"] for finding in good["findings"])
    bad = upload(client, {"a.md": b"", "q.csv": b"question\n"}, "/v1/datasets/validate").json()
    assert not bad["usable"]
    assert {(one["file"], one["line"]) for one in bad["problems"]} == {("a.md", None), ("q.csv", 1)}
    assert client.get("/v1/datasets").json()["total"] == len(bundled_datasets())


@pytest.mark.parametrize("artifact", [one for one in ARTIFACTS if not one.is_taken], ids=lambda one: one.name)
def test_malicious_uploads_are_refused(client: TestClient, api: Api, artifact: Any) -> None:
    marker = api.home / "was-here"
    response = upload(client, artifact.make(marker))
    assert response.status_code in (413, 422)
    assert response.headers["content-type"] == "application/problem+json"
    assert not marker.exists()
    left = {path.relative_to(api.home).as_posix() for path in api.home.rglob("*")}
    assert left <= {"incoming", "test.db", "test.db-wal", "test.db-shm"}


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("text/plain", b"x", 415),
        ("multipart/form-data", b"x", 422),
        ("multipart/form-data; boundary=b", b"", 422),
        ("multipart/form-data; boundary=b", b"--b--", 422),
        ("multipart/form-data; boundary=b", b"garbage", 422),
        (
            "multipart/form-data; boundary=b; charset=nope",
            b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--",
            422,
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="files"\r\n\r\nx\r\n--b--\r\n',
            422,
        ),
        ("multipart/form-data; boundary=" + "b" * 5000, b"--b--", 422),
    ],
)
def test_what_is_no_form_with_files_is_refused(client: TestClient, content_type: str, body: bytes, status: int) -> None:
    response = client.post("/v1/datasets", content=body, headers={"Content-Type": content_type})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "fields", [{"nmae": "x"}, {"name": ""}, {"name": "a\nb"}, {"name": "x" * 121}, {"task": "magic"}]
)
def test_unfit_fields_are_refused(client: TestClient, fields: dict[str, str]) -> None:
    assert upload(client, FILES, **fields).status_code == 422


def test_pages_of_questions_can_be_filtered(client: TestClient) -> None:
    version = upload(client, FILES).json()["version"]
    path = f"/v1/datasets/{version}/examples"
    page = client.get(path, params={"limit": 3, "offset": 8}).json()
    assert ([one["id"] for one in page["items"]], page["total"]) == (["q8", "q9"], 10)
    test = client.get(path, params={"split": "test"}).json()
    assert {one["split"] for one in test["items"]} == {"test"}
    assert client.get(path, params={"contains": "WARRANTY 7"}).json()["total"] == 1
    assert client.get(path, params={"split": "other"}).status_code == 422
    assert client.get(path, params={"limit": 501}).status_code == 422


def test_bundled_data_sets_are_listed_after_the_uploaded_ones(client: TestClient) -> None:
    version = upload(client, FILES).json()["version"]
    listed = client.get("/v1/datasets").json()
    assert [one["version"] for one in listed["items"]] == [version, *bundled_datasets()]
    page = client.get("/v1/datasets", params={"limit": 2, "offset": 1}).json()
    assert [one["version"] for one in page["items"]] == bundled_datasets()[:2]
    assert client.get("/v1/datasets/appliance-support").json()["findings"] is not None


def test_a_version_can_be_deleted_unless_something_rests_on_it(api: Api, client: TestClient) -> None:
    version = upload(client, FILES).json()["version"]
    made = client.post("/v1/comparisons", json={"dataset": version, "arms": ["base"]}).json()
    assert client.delete(f"/v1/datasets/{version}").status_code == 409
    api.move(made["id"], ComparisonState.CANCELLED)
    client.delete(f"/v1/comparisons/{made['id']}")
    assert client.delete(f"/v1/datasets/{version}").status_code == 204
    assert client.get(f"/v1/datasets/{version}").status_code == 404
    assert client.get(f"/v1/datasets/{version}/examples").status_code == 404
    assert not (api.home / "datasets" / version).exists()
    assert upload(client, FILES).status_code == 201


def test_a_frozen_version_cannot_be_deleted(client: TestClient) -> None:
    version = upload(client, FILES).json()["version"]
    assert client.post(f"/v1/datasets/{version}/freeze").json()["frozen"]
    assert client.post(f"/v1/datasets/{version}/freeze").json()["frozen"]
    assert client.delete(f"/v1/datasets/{version}").status_code == 409
    assert client.delete("/v1/datasets/appliance-support").status_code == 409


def test_a_version_is_erased_by_an_admin_with_what_was_made_of_it_and_kept_in_memory(api: Api) -> None:
    by_run, by_admin = (api.client(key=api.key(scope)) for scope in (Scope.RUN, Scope.ADMIN))
    version = upload(by_run, FILES).json()["version"]
    made = by_run.post("/v1/comparisons", json={"dataset": version, "arms": ["base"]}).json()["id"]
    by_run.post(f"/v1/datasets/{version}/freeze")
    assert by_run.post(f"/v1/datasets/{version}/erase").status_code == 403
    assert by_admin.post(f"/v1/datasets/{version}/erase").status_code == 409
    api.move(made, ComparisonState.CANCELLED)
    before = api.app.state.results
    erased = by_admin.post(f"/v1/datasets/{version}/erase").json()
    assert (erased["versions"], erased["comparisons"]) == ([version], [made])
    assert any("backups" in place for place in erased["not_reached"])
    assert api.app.state.results is not before
    assert by_admin.get(f"/v1/datasets/{version}/documents").status_code == 404
    assert by_admin.get(f"/v1/comparisons/{made}").status_code == 404
    assert by_admin.post("/v1/datasets/appliance-support/erase").status_code == 409


def test_metadata_of_documents_is_shown_as_it_was_sent(client: TestClient) -> None:
    metadata = {"x": [{"y": "<script>"}] * 3, "n": 1.5}
    row = {"id": "d", "title": "", "text": "two years", "metadata": metadata}
    files = {**FILES, "documents.jsonl": json.dumps(row).encode()}
    version = upload(client, files).json()["version"]
    assert client.get(f"/v1/datasets/{version}/documents").json()["items"][0]["metadata"] == metadata


def test_another_tools_file_is_recognised_told_and_exported_again(client: TestClient) -> None:
    rows = [{"user_input": f"Is it {i}?", "reference": "yes", "reference_contexts": [f"It is {i}."]} for i in range(9)]
    files = {"testset.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode()}
    checked = upload(client, files, "/v1/datasets/validate").json()
    assert checked["read_as"] == "testset.jsonl is read as a test set of ragas: 9 questions and 9 documents."
    version = upload(client, files, name="mine").json()["version"]
    response = client.get(f"/v1/datasets/{version}/files.zip", params={"format": "squad"})
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert sorted(archive.namelist()) == ["dataset.toml", "squad.json"]
    assert client.get(f"/v1/datasets/{version}/files.zip", params={"format": "nope"}).status_code == 422


def test_columns_may_have_other_names(client: TestClient) -> None:
    files = {"fragen.csv": "Frage;Antwort;Notiz\nÖl?;ja;x\nWachs?;nein;y\n".encode("cp1252")}
    assert not upload(client, files, "/v1/datasets/validate").json()["usable"]
    checked = client.post(
        "/v1/datasets/validate", files=[("files", item) for item in files.items()],
        data={"columns": ["question=Frage", "answer=Antwort"]},
    ).json()  # fmt: skip
    assert checked["usable"], checked
    assert any("Windows-1252" in item for finding in checked["findings"] for item in finding["items"])


def test_a_workbook_that_unpacks_too_far_is_refused(client: TestClient) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b" " * (64 * 2**20))
    checked = upload(client, {"q.xlsx": bomb.getvalue()}, "/v1/datasets/validate").json()
    assert [one["file"] for one in checked["problems"]] == ["q.xlsx"]
    assert "unpacks to" in checked["problems"][0]["message"]
