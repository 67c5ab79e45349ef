"""Every bad input: one clear error that names what is wrong and the remedy, exit code 2, no traceback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.cli.app import main

Refused = Callable[..., str]
NO_SERVER = "http://127.0.0.1:9/v1"
PRICES = 'as_of = "2026-01-01"\nsource = "a list"\n'


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must be refused; gives the one message."""
    monkeypatch.setenv("TUNING_FORK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as exit_:
            main(list(arguments))
        captured = capfd.readouterr()
        assert exit_.value.code == 2, captured.err
        assert captured.err.startswith("error: ")
        assert captured.err.count("error: ") == 1
        assert "Traceback" not in captured.err + captured.out
        return captured.err

    return run


@pytest.fixture
def folder(tmp_path: Path, workplace: Any) -> Path:
    """A good dataset, to be spoilt."""
    path: Path = workplace.folder
    return path


def spoil(path: Path, line: int, text: str) -> None:
    lines = path.read_text().splitlines(keepends=True)
    lines[line - 1] = text + "\n"
    path.write_text("".join(lines))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compare",), "Missing argument 'DATASET'"),
        (("compare", "x", "--colour", "red"), "No such option: --colour"),
        (("compare", "x", "--limit", "many"), "'--limit'"),
        (("compare", "x", "--task", "poetry"), "task is 'poetry'; give one of"),
        (("frobnicate",), "No such command 'frobnicate'"),
        (("report", "latest", "--format", "pdf"), "'--format'"),
        (("ask",), "Missing argument 'COMPARISON'"),
        (("compare", "no-such-set"), "no-such-set: there is no such folder; `tuningfork datasets` lists"),
        (("validate", "no-such-set"), "no-such-set: there is no such folder"),
        (("import", "nowhere", "out"), "nowhere: there is no such file or folder"),
        (("report", "latest"), "there is no finished comparison in"),
        (("ask", "latest", "Why?"), "run `tuningfork compare DATASET` first"),
        (("ask", "latest", "  "), "the question is empty"),
        (("ask", "latest", "\udcff"), "the question is not readable UTF-8"),
        (("compare", "appliance-support", "--limit", "0"), "limit is 0; give a whole number of at least 1"),
        (("compare", "appliance-support", "--margin", "2"), "margin is 2.0"),
        (("compare", "appliance-support", "--margin", "nan"), "margin is nan"),
        (("compare", "appliance-support", "--top-k", "0"), "top_k is 0"),
        (("compare", "appliance-support", "--seed", "-1"), "seed is -1"),
        (("compare", "appliance-support", "--arms", "rag,magic"), "arms has 'magic'; give [NAME=]KIND[@MODEL]"),
        (("compare", "appliance-support", "--arms", ","), "no arm was chosen"),
        (("compare", "appliance-support", "--queries-per-month", "inf"), "queries_per_month is inf"),
        (("compare", "appliance-support", "--model", "chatty"), "unknown model 'chatty'; possible are `smollm2`"),
        (("compare", "appliance-support", "--model", "./missing"), "the model folder missing does not exist"),
        (
            ("compare", "appliance-support", "--model", "gguf:none.gguf"),
            "none.gguf cannot be read: No such",
        ),
        (("models", "install", "llama"), "no package brings the model 'llama'"),
        (("compare", "appliance-support", "--prices", "none.toml"), "none.toml: there is no such price file"),
    ],
)
def test_a_bad_command_is_refused(refused: Refused, arguments: tuple[str, ...], message: str) -> None:
    assert message in refused(*arguments)


@pytest.mark.parametrize(
    ("content", "message"), [(b"PK\x03\x04", "small.gguf is no GGUF file"), (None, "small.gguf is cut off or damaged")]
)
def test_a_spoilt_gguf_file_is_named(
    refused: Refused,
    tiny_gguf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes | None,
    message: str,
) -> None:
    monkeypatch.setenv("TUNING_FORK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "small.gguf").write_bytes(content or tiny_gguf.read_bytes()[:-100])
    assert message in refused("compare", "appliance-support", "--model", "./small.gguf")


def test_a_cache_folder_that_cannot_be_written_is_named(
    refused: Refused, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNING_FORK_CACHE", "/dev/null/cache")
    message = refused("compare", "appliance-support", "--model", str(tiny_gguf), "--arms", "base")
    assert "/dev/null/cache cannot be written" in message
    assert "TUNING_FORK_CACHE" in message


def test_an_unknown_comparison_is_refused_with_those_there_are(refused: Refused, compared: Any) -> None:
    made = compared.run().id
    message = refused("report", "other", "--home", str(compared.directory.root))
    assert f"there is no finished comparison 'other'; choose one of: {made}" in message


@pytest.mark.parametrize(
    ("file", "line", "text", "message"),
    [
        ("questions.jsonl", 3, "{", "questions.jsonl:3: not a JSON object"),
        ("questions.jsonl", 2, "[1]", "questions.jsonl:2: a JSON list, not an object"),
        ("questions.jsonl", 2, '{"id": "x"}', 'questions.jsonl:2: the field "question" is missing; add it'),
        ("documents.jsonl", 1, '{"id": "d0", "text": ""}', 'documents.jsonl:1: "text" is empty'),
        ("documents.jsonl", 2, '{"id": "d0", "text": "x"}', 'documents.jsonl:2: the id "d0" is already on line 1'),
        ("dataset.toml", 3, 'task = "poetry"', 'dataset.toml: the task "poetry" is unknown'),
        ("dataset.toml", 3, "task = ", "dataset.toml: not readable TOML"),
        ("dataset.toml", 6, 'metrics = ["exact_mach"]', "there is no metric 'exact_mach'; choose from: exact_match"),
    ],
)
@pytest.mark.parametrize("command", ["compare", "validate"])
def test_a_bad_line_is_named(
    refused: Refused, folder: Path, command: str, file: str, line: int, text: str, message: str
) -> None:
    spoil(folder / file, line, text)
    assert message in refused(command, str(folder))


@pytest.mark.parametrize("file", ["questions.jsonl", "documents.jsonl"])
def test_a_missing_file_is_named(refused: Refused, folder: Path, file: str) -> None:
    (folder / file).unlink()
    assert f"{file}: the file is missing from {folder}" in refused("compare", str(folder))


def test_bytes_that_are_no_text_are_named_by_line(refused: Refused, folder: Path) -> None:
    path = folder / "documents.jsonl"
    path.write_bytes(path.read_bytes().replace(b"coloured c1.", b"coloured \xe9."))
    assert "documents.jsonl:2: broken UTF-8 at byte" in refused("validate", str(folder))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"split": "test"', '"split": "train"', 'no question has split "test"; mark some'),
        ('"split": "train"', '"split": "validation"', "tiny has no training questions"),
    ],
)
def test_an_empty_split_is_refused(refused: Refused, folder: Path, old: str, new: str, message: str) -> None:
    path = folder / "questions.jsonl"
    path.write_text(path.read_text().replace(old, new))
    # Nothing listens there and nothing needs to: the refusal comes before the first question.
    assert message in refused("compare", str(folder), "--model", f"openai:x@{NO_SERVER}", "--arms", "base,few-shot")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("as_of = ", "not a readable TOML price file"),
        (PRICES + "[machines.cpu]\nusd_per_hour = -1", "cpu: usd_per_hour is -1; give an amount"),
        (PRICES + "[machines.cpu]\nusd_per_hour = 1", "cpu: label is missing"),
        ('source = "x"', "as_of is missing"),
        (PRICES + "machines = 3", "[machines] must hold tables"),
    ],
)
def test_a_bad_price_file_is_named_with_the_key(refused: Refused, tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(content)
    found = refused("compare", "appliance-support", "--prices", str(path))
    assert str(path) in found
    assert message in found


def test_a_model_folder_of_pickles_is_refused(refused: Refused, tmp_path: Path) -> None:
    model = tmp_path / "pickled"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "pytorch_model.bin").write_bytes(b"\x80")
    message = refused("compare", "appliance-support", "--model", str(model))
    assert f"{model} holds only pickled weights (pytorch_model.bin)" in message
    assert "convert them to safetensors" in message


@pytest.mark.parametrize("option", ["--home", "--out"])
def test_a_place_that_cannot_be_written_is_named(refused: Refused, tmp_path: Path, option: str) -> None:
    (tmp_path / "file").write_text("")
    message = refused("compare", "appliance-support", option, str(tmp_path / "file" / "below"))
    assert str(tmp_path / "file" / "below") in message
    assert "Not a directory" in message


def test_an_unreachable_endpoint_is_named_with_the_remedy(
    refused: Refused, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The client's pauses between attempts are not what is tested.
    monkeypatch.setattr("openai._constants.DEFAULT_MAX_RETRIES", 0)
    monkeypatch.setattr("openai._base_client.SyncAPIClient._sleep_for_retry", lambda *args, **kwargs: None)
    message = refused("compare", str(folder), "--model", f"openai:x@{NO_SERVER}", "--arms", "base")
    assert f"cannot reach {NO_SERVER}" in message
    assert "start the server, or correct the base URL" in message
    assert "(arm base, questions t" in message


def test_a_hosted_model_without_a_key_is_refused(
    refused: Refused, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "TUNING_FORK_MODEL_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    assert "OPENAI_API_KEY" in refused("compare", str(folder), "--model", "openai:gpt-5-mini", "--arms", "base")


def test_a_hosted_model_refuses_tuned_arms(refused: Refused, folder: Path) -> None:
    message = refused("compare", str(folder), "--model", f"openai:x@{NO_SERVER}")
    assert "hosted model and cannot be tuned here; leave fine-tuned and hybrid out" in message


def test_damaged_reports_are_named_with_the_remedy(refused: Refused, compared: Any) -> None:
    comparison = compared.directory.comparison(compared.run().id)
    home = str(compared.directory.root)
    (comparison / "report.md").unlink()
    assert "report.md is missing; run the same `tuningfork compare` again" in refused(
        "report", "latest", "--home", home
    )
    (comparison / "report.json").write_text("{")
    message = refused("ask", "latest", "Why?", "--home", home)
    assert f"{comparison / 'report.json'} is missing or damaged; run the same `tuningfork compare` again" in message


def test_control_characters_of_a_data_set_do_not_reach_the_terminal(refused: Refused, folder: Path) -> None:
    row = {"id": "d0", "title": "x", "text": "y", "metadata": 3}
    path = folder / "documents.jsonl"
    spoil(path, 1, json.dumps(row | {"id": "d\x1b[2J"}))
    spoil(path, 2, json.dumps(row | {"id": "d\x1b[2J"}))
    assert "\x1b" not in refused("validate", str(folder))


@pytest.mark.slow
def test_a_damaged_adapter_is_set_aside_with_what_to_do(
    refused: Refused, folder: Path, tmp_path: Path, tiny_model_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ("compare", str(folder), "--model", str(tiny_model_folder), "--arms", "fine-tuned")
    command += ("--limit", "8", "--max-epochs", "1")
    with pytest.raises(SystemExit) as exit_:
        main(list(command))
    assert exit_.value.code == 0
    capfd.readouterr()
    (weights,) = (tmp_path / "home").rglob("adapter_model.safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 255
    weights.write_bytes(bytes(data))
    message = refused("ask", "latest", "Anything?", "--pipeline", "fine-tuned")
    assert f"the adapter {weights.parent.name} is damaged: adapter_model.safetensors" in message
    assert f"it is set aside as {weights.parent.name}.damaged; put the folder" in message
    assert "which trains it again and asks only what was never asked" in message


def test_validate_names_labels_that_fit_no_question(refused: Refused, folder: Path) -> None:
    (folder / "human_labels.jsonl").write_text('{"question_id": "gone"}\n')
    assert "human_labels.jsonl:1: \"question_id\" is 'gone'" in refused("validate", str(folder))
