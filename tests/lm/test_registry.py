import subprocess
import sys
from pathlib import Path

import pytest

from lm.errors import ConfigError, LanguageModelError, MissingDependencyError
from lm.language_model import LanguageModel
from lm.registry import SCHEMES, LoadOptions, is_tunable, known_models, load_language_model, parse_spec
from lm.weights.embedded_model import EMBEDDED_PARAMETERS

HEAVY = ("torch", "transformers", "openai", "numpy")


def test_importing_and_listing_load_nothing_heavy() -> None:
    code = f"import sys, lm.registry; lm.registry.known_models(); print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_kind_of_model_is_listed_with_where_it_runs() -> None:
    rows = known_models()
    assert [row.kind for row in rows] == list(SCHEMES) == ["smollm2", "hf", "gguf", "openai"]
    assert all(row.name and row.description and row.runs_on for row in rows)


def test_models_whose_weights_are_here_can_be_tuned() -> None:
    assert [is_tunable(spec) for spec in ("smollm2", "hf:org/name", "openai:m@http://h/v1")] == [True, True, False]
    with pytest.raises(ConfigError, match="unknown model"):
        is_tunable("magic")


def test_the_embedded_model_is_listed_with_its_parameters() -> None:
    assert known_models()[0].parameters == EMBEDDED_PARAMETERS


def test_folder_is_loaded_with_or_without_scheme(tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_model_folder.parent)
    for spec in (str(tiny_model_folder), f"hf:{tiny_model_folder}", f"./{tiny_model_folder.name}"):
        model = load_language_model(spec, LoadOptions(device="cpu"))
        assert isinstance(model, LanguageModel)
        assert model.name == f"hf:{spec.removeprefix('hf:')}"


def test_options_reach_a_local_model(tiny_model_folder: Path) -> None:
    full, half = (
        load_language_model(str(tiny_model_folder), LoadOptions("cpu", dtype)) for dtype in ("float32", "bfloat16")
    )
    assert full.fingerprint != half.fingerprint


def test_endpoint_may_be_part_of_the_spec_or_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    model = load_language_model("openai:qwen2.5:7b@http://localhost:11434/v1", LoadOptions(context_tokens=4096))
    assert model.name == "openai:qwen2.5:7b@http://localhost:11434/v1"
    assert model.context_tokens == 4096
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:9/v1")
    assert load_language_model("openai:small").name == "openai:small@http://localhost:9/v1"


@pytest.mark.parametrize(
    "spec", ["", "gpt-9", "smollm2:x", "gguf:", "hf:", "openai:", "openai", "mystery:model", "a/b/c"]
)
def test_unknown_spec_is_refused_with_what_is_possible(spec: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_language_model(spec)
    message = str(caught.value)
    assert repr(spec) in message
    assert all(scheme.spec in message for scheme in SCHEMES.values())


@pytest.mark.parametrize("spec", ["gguf:~/some.gguf", " gguf: ~/some.gguf", "~/some.gguf"])
def test_a_gguf_file_is_known_by_scheme_or_ending(spec: str) -> None:
    assert parse_spec(spec) == ("gguf", str(Path.home() / "some.gguf"))


def test_a_model_that_was_shipped_once_is_said_to_be_gone() -> None:
    with pytest.raises(ConfigError, match="'pocket' is no longer shipped; choose smollm2"):
        load_language_model("pocket")


def test_path_that_does_not_exist_is_a_model_error_not_a_hub_request() -> None:
    with pytest.raises(LanguageModelError, match="does not exist"):
        load_language_model("./no-such-folder")


@pytest.mark.parametrize(
    ("spec", "package", "module"),
    [
        ("hf:./x", "transformers", "lm.local.huggingface"),
        ("openai:m@http://h/v1", "openai", "lm.endpoint.openai_compatible"),
    ],
)
def test_missing_package_names_the_install_command(
    spec: str, package: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=f"{package}.*pip install"):
        load_language_model(spec)
