"""Forms taken apart."""

from pathlib import Path

import pytest

from service.safety.form import FormError, SentForm, read_form

KIND = "multipart/form-data; boundary=b"


def part(content: str, **attributes: str) -> bytes:
    said = "".join(f'; {name}="{value}"' for name, value in attributes.items())
    return f"--b\r\nContent-Disposition: form-data{said}\r\n\r\n{content}\r\n".encode()


def read(tmp_path: Path, *parts: bytes, kind: str = KIND, max_files: int = 10) -> SentForm:
    body, folder = tmp_path / "body", tmp_path / "parts"
    body.write_bytes(b"".join(parts) + b"--b--\r\n")
    folder.mkdir()
    return read_form(body, kind, folder, max_files=max_files)


def test_files_are_kept_under_names_of_ours_and_texts_in_their_order(tmp_path: Path) -> None:
    form = read(
        tmp_path,
        part("A", name="files", filename="../a.md"),
        part("first", name="columns"),
        part("é" * 600_000, name="files", filename="a.md"),
        part("second", name="columns"),
    )
    assert form.fields == {"columns": ("first", "second")}
    assert [one.name for one in form.files] == ["../a.md", "a.md"]
    assert [one.path.read_text() for one in form.files] == ["A", "é" * 600_000]
    assert {one.path.parent for one in form.files} == {tmp_path / "parts"}


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([], "no file was sent"),
        ([part("A", name="files")], "no file was sent"),
        ([part("A", name="files", filename="a.md"), part("B", name="files")], "no file was sent"),
        ([part("A", name="files", filename="a.md"), part("x", name="name", filename="x")], "'name' holds a file"),
        ([part("A", filename="a.md")], "cannot be read as a form"),
        ([part("", name="files", filename=f"{i}.md") for i in range(11)], "Too many files"),
        ([part("x", name=f"f{i}") for i in range(21)], "Too many fields"),
    ],
)
def test_what_brings_no_files_is_refused(parts: list[bytes], told: str, tmp_path: Path) -> None:
    with pytest.raises(FormError, match=told):
        read(tmp_path, *parts)


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=" + "b" * 5000])
def test_what_has_no_boundary_of_its_own_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(FormError, match="cannot be read as a form"):
        read(tmp_path, part("A", name="files", filename="a.md"), kind=kind)
