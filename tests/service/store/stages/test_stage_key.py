from pathlib import Path

import grimp
import pytest

from service.store.stages import stage_key as module
from service.store.stages.stage_key import STAGE_KINDS, code_digest, formats, library_versions, stage_key

NUMBERED = ("lm", "advisor.data", "advisor.results", "rag", "finetune")
ERRORS = {"advisor.errors"}
"""What a failure is called decides no content."""


def test_equal_parts_give_equal_keys_whatever_the_order_of_mappings() -> None:
    assert stage_key({"a": 1, "b": 2}, "x") == stage_key({"b": 2, "a": 1}, "x")
    assert len(stage_key()) == 32


def test_parts_do_not_run_into_each_other() -> None:
    keys = [stage_key("ab", "c"), stage_key("a", "bc"), stage_key("abc"), stage_key(["ab", "c"]), stage_key("c", "ab")]
    assert len(set(keys)) == len(keys)


def test_versions_name_python_and_what_computes() -> None:
    assert {"python", "torch", "transformers", "chromadb", "tuning-fork"} <= set(library_versions())


@pytest.mark.parametrize("kind", STAGE_KINDS)
def test_a_stage_is_named_by_every_package_its_makers_import(kind: str) -> None:
    """What they do not import (metrics, statistics, reports) can then neither train nor ask again."""
    graph = grimp.build_graph("lm", "advisor", "rag", "finetune", "service", cache_dir=None)
    makers = set(STAGE_KINDS[kind].makers)
    imported = makers.union(*(graph.find_upstream_modules(maker) for maker in makers)) - ERRORS
    packages = {next((p for p in NUMBERED if f"{name}.".startswith(f"{p}.")), name) for name in imported}
    assert packages == set(STAGE_KINDS[kind].packages)


@pytest.mark.parametrize("package", NUMBERED)
def test_raising_a_format_renames_the_stages_that_rest_on_it_and_no_other(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names() -> dict[str, str]:
        return {kind: stage_key(formats(kind)) for kind in STAGE_KINDS}

    before = names()
    with monkeypatch.context() as patch:
        patch.setattr(f"{package}.FORMAT", 99)
        after = names()
    assert {k for k in before if before[k] != after[k]} == {k for k, s in STAGE_KINDS.items() if package in s.packages}


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
