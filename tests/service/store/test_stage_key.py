from pathlib import Path

import pytest

from service.store import stage_key as module
from service.store.stage_key import code_digest, library_versions, stage_key


def test_equal_parts_give_equal_keys_whatever_the_order_of_mappings() -> None:
    assert stage_key({"a": 1, "b": 2}, "x") == stage_key({"b": 2, "a": 1}, "x")
    assert len(stage_key()) == 32


def test_parts_do_not_run_into_each_other() -> None:
    keys = [stage_key("ab", "c"), stage_key("a", "bc"), stage_key("abc"), stage_key(["ab", "c"]), stage_key("c", "ab")]
    assert len(set(keys)) == len(keys)


def test_versions_name_python_and_what_computes() -> None:
    assert {"python", "torch", "transformers", "chromadb", "tuning-fork"} <= set(library_versions())


def test_code_digest_follows_a_change_of_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "made_up_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "notes.md").write_text("one")
    monkeypatch.syspath_prepend(tmp_path)

    def digest() -> str:
        module.code_digest.cache_clear()
        return code_digest("made_up_package")

    before = digest()
    (package / "notes.md").write_text("two")
    assert digest() == before
    (package / "__init__.py").write_text("x = 1")
    assert digest() != before
    module.code_digest.cache_clear()


def test_packages_have_digests_of_their_own() -> None:
    assert len({code_digest("lm"), code_digest("rag"), code_digest("lm", "rag"), code_digest("advisor.metrics")}) == 4
