import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import lm.weights.gguf_cache
from lm.completion import GenerationConfig, Message, Role
from lm.errors import LanguageModelError
from lm.files import SEAL
from lm.local.huggingface import load_huggingface_model
from lm.registry import LoadOptions, load_language_model
from lm.weights.gguf_cache import cache_folder, gguf_identity, locate_converted


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("TUNING_FORK_CACHE", str(folder))
    return folder


@pytest.fixture
def n_read(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many times a GGUF file was read."""
    calls: list[Path] = []

    def counted(path: Path) -> object:
        calls.append(path)
        return read(path)

    read = lm.weights.gguf_cache.read_gguf
    monkeypatch.setattr(lm.weights.gguf_cache, "read_gguf", counted)
    return lambda: len(calls)


def test_a_gguf_file_answers_as_the_folder_it_was_made_of(tiny_gguf: Path, tiny_model_folder: Path) -> None:
    prompts = [[Message(Role.USER, "How long is the warranty?")]]
    config = GenerationConfig(max_output_tokens=8)
    original = load_huggingface_model(tiny_model_folder, device="cpu", dtype="float32")
    model = load_language_model(f"gguf:{tiny_gguf}", LoadOptions("cpu", "float32"))
    assert model.name == "gguf:tiny.gguf"
    assert model.generate(prompts, config)[0].text == original.generate(prompts, config)[0].text
    assert load_language_model(str(tiny_gguf), LoadOptions("cpu", "float32")).fingerprint == model.fingerprint


def test_a_file_is_converted_once(tiny_gguf: Path, n_read: Callable[[], int], cache: Path) -> None:
    folder = locate_converted(tiny_gguf)
    assert folder == cache / "models" / gguf_identity(tiny_gguf)
    assert locate_converted(tiny_gguf) == folder
    assert n_read() == 1


def test_of_several_that_ask_at_once_one_converts(tiny_gguf: Path, n_read: Callable[[], int]) -> None:
    threads = [threading.Thread(target=locate_converted, args=(tiny_gguf,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert n_read() == 1


def _cut_weights(folder: Path) -> None:
    os.truncate(folder / "model.safetensors", 1000)


def _change_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    stat = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _lose_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def _lose_marker(folder: Path) -> None:
    (folder / SEAL).unlink()


def _damage_marker(folder: Path) -> None:
    (folder / SEAL).write_text(json.dumps({"files": {"model.safetensors": 7}}))


@pytest.mark.parametrize("damage", [_cut_weights, _change_weights, _lose_tokenizer, _lose_marker, _damage_marker])
def test_a_damaged_folder_is_made_again(
    tiny_gguf: Path, n_read: Callable[[], int], damage: Callable[[Path], None]
) -> None:
    folder = locate_converted(tiny_gguf)
    written = (folder / "model.safetensors").read_bytes()
    damage(folder)
    assert locate_converted(tiny_gguf) == folder
    assert n_read() == 2
    assert (folder / "model.safetensors").read_bytes() == written
    load_huggingface_model(folder)


def test_a_copied_folder_counts_though_its_times_differ(tiny_gguf: Path, n_read: Callable[[], int]) -> None:
    folder = locate_converted(tiny_gguf)
    os.utime(folder / "model.safetensors", ns=(1, 1))
    locate_converted(tiny_gguf)
    assert n_read() == 1


def test_what_a_killed_process_left_is_removed(tiny_gguf: Path, cache: Path) -> None:
    identity = gguf_identity(tiny_gguf)
    leftover = cache / "models" / f".{identity}.staged"
    leftover.mkdir(parents=True)
    (leftover / "model.safetensors").write_bytes(b"half")
    locate_converted(tiny_gguf)
    assert sorted(path.name for path in (cache / "models").iterdir()) == [".lock", identity]


def test_a_cache_folder_that_cannot_be_written_is_named_with_the_remedy(
    tiny_gguf: Path, cache: Path, n_read: Callable[[], int]
) -> None:
    cache.write_text("a file is in the way")
    with pytest.raises(LanguageModelError, match=rf"{cache} cannot be written: .*TUNING_FORK_CACHE"):
        locate_converted(tiny_gguf)
    assert n_read() == 0


def test_a_disk_that_fills_up_leaves_nothing_half_written(
    tiny_gguf: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lm.files.flush", full)
    with pytest.raises(LanguageModelError, match="cannot be written: No space left on device"):
        locate_converted(tiny_gguf)
    assert [path.name for path in (cache / "models").iterdir()] == [".lock"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LanguageModelError, match=r"none\.gguf cannot be read: No such file"):
        locate_converted(tmp_path / "none.gguf")


def test_the_folder_is_the_users_cache_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TUNING_FORK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "tuning-fork"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "tuning-fork"
