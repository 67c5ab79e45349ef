"""What every target writes, and each target's files against what the tool documents."""

import importlib.util
import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
import yaml

from advisor.data.dataset import Split
from lm.completion import Message, Role
from lm.errors import ConfigError
from lm.files import hash_file
from lm.local.huggingface import AdaptedModel, HuggingFaceModel, load_huggingface_model
from service.cli.app import main
from service.handover.hand_over import hand_over
from service.handover.targets import TARGETS
from service.handover.winner import Winner

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def written(winner: Winner, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a target, written once."""
    root = tmp_path_factory.mktemp("handed_over")

    def write(target: str) -> Path:
        folder = root / target
        if not folder.exists():
            hand_over(winner, target, folder)
        return folder

    return write


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8-sig").splitlines()]


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_writes_commands_provenance_and_hashes(target: str, written: Callable[[str], Path]) -> None:
    folder = written(target)
    readme = (folder / "README.md").read_text(encoding="utf-8")
    for said in ("```", "Ticket validation 0", "CC0-1.0", "transformers 5"):
        assert said in readme
    manifest = json.loads((folder / "handover.json").read_text(encoding="utf-8"))
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert set(manifest["files"]) == files - {"README.md", "handover.json"}
    assert manifest["files"]
    assert all(hash_file(folder / name) == row["sha256"] for name, row in manifest["files"].items())
    assert manifest["arm"] == "fine-tuned"
    for name in files:
        if not name.endswith((".safetensors", ".npy")):
            assert "Ticket test" not in (folder / name).read_text(encoding="utf-8"), name


@torch.inference_mode()
def logits_of(module: Any, ids: list[int]) -> torch.Tensor:
    return torch.as_tensor(module(input_ids=torch.tensor([ids])).logits)


@torch.inference_mode()
def measured_logits(winner: Winner, ids: list[int]) -> torch.Tensor:
    """As our own model computes them, with the adapter switched on."""
    model = winner.pipeline.model
    assert isinstance(model, AdaptedModel)
    model.base._activate(model._key)
    return torch.as_tensor(model.base.module(input_ids=torch.tensor([ids])).logits)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_adapter_gives_plain_peft_our_logits(winner: Winner, written: Callable[[str], Path]) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(winner.base.folder, dtype="float32")
    theirs = PeftModel.from_pretrained(base, written("peft") / "adapter").eval()
    for prompt in winner.probes()[:4]:
        ids = winner.base.encode(prompt)
        assert (logits_of(theirs, ids) - measured_logits(winner, ids)).abs().max().item() <= 2e-6
        bare = logits_of(theirs.base_model.model, ids)
        assert torch.equal(bare, logits_of(theirs, ids))


def test_merged_weights_give_our_logits_and_answers(winner: Winner, written: Callable[[str], Path]) -> None:
    merged = load_huggingface_model(written("merged") / "model", device="cpu", dtype="float32")
    untuned = load_huggingface_model(winner.base.folder, device="cpu", dtype="float32")
    for prompt in winner.probes():
        ids = winner.base.encode(prompt)
        assert merged.encode(prompt) == ids
        ours = measured_logits(winner, ids)
        # Random weights blow rounding up; of the default model docs/handover.md has the figure.
        assert (logits_of(merged.module, ids) - ours).abs().max().item() < 1e-4
        assert (logits_of(untuned.module, ids) - ours).abs().max().item() > 0.1
    generation = winner.pipeline.generation
    answers = merged.generate(winner.probes(), generation)
    assert [a.text for a in answers] == [a.text for a in winner.pipeline.model.generate(winner.probes(), generation)]
    assert re.search(r"at most \d\.\de-0[5-7] on 16 prompts", (written("merged") / "README.md").read_text())


@pytest.mark.parametrize("target", ["openai", "foundry"])
def test_hosted_training_files_hold_the_asked_prompts_and_answers(
    target: str, winner: Winner, written: Callable[[str], Path]
) -> None:
    raw = (written(target) / "train.jsonl").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf") == (target == "foundry")
    rows = read_rows(written(target) / "train.jsonl")
    train = winner.dataset.split(Split.TRAIN)
    assert [row["messages"][-1] for row in rows] == [{"role": "assistant", "content": e.answers[0]} for e in train]
    asked = [p.messages[0].content for p in winner.pipeline.prompt_builder.build([train[0].question], winner.model, 1)]
    assert [turn["content"] for turn in rows[0]["messages"][:-1]] == asked
    assert len(read_rows(written(target) / "validation.jsonl")) == 4


def parse_modelfile(text: str) -> list[tuple[str, str]]:
    """Instructions and arguments by docs.ollama.com/modelfile: a line each, or text between three quotes."""
    found: list[tuple[str, str]] = []
    while text:
        match = re.match(
            r'#[^\n]*\n|(FROM|PARAMETER|TEMPLATE|SYSTEM|LICENSE) (?:"""(.*?)"""|([^\n]*))\n', text, re.DOTALL
        )
        assert match, text[:80]
        if match[1]:
            found.append((match[1], match[2] if match[2] is not None else match[3]))
        text = text[match.end() :]
    return found


def as_go_writes(template: str, question: str) -> str:
    """A template of literal text, quoted literals, .Prompt and .Response, as Go's text/template writes it."""
    values = {".Prompt": question, ".Response": ""}
    return re.sub(r"\{\{ (?:\"(.*?)\"|(\.\w+)) \}\}", lambda m: m[1] if m[1] is not None else values[m[2]], template)


@pytest.mark.parametrize("kind", ["fine-tuned", "few-shot"])
def test_ollamas_template_writes_the_measured_prompt(
    kind: str, opened: Callable[..., Winner], tuned: AdaptedModel, tiny: HuggingFaceModel, tmp_path: Path
) -> None:
    winner = opened(kind, tuned if kind == "fine-tuned" else tiny)
    hand_over(winner, "ollama", tmp_path / "ollama")
    lines = parse_modelfile((tmp_path / "ollama" / "Modelfile").read_text(encoding="utf-8"))
    assert lines[0] == ("FROM", "./model")
    parameters = dict(value.split(" ", 1) for name, value in lines if name == "PARAMETER")
    assert parameters == {
        "temperature": "0", "repeat_penalty": "1", "num_predict": "12", "num_ctx": "4096", "seed": "0",
        "stop": '"<|end|>"',
    }  # fmt: skip
    (template,) = [value for name, value in lines if name == "TEMPLATE"]
    questions = [e.question for e in winner.dataset.split(Split.VALIDATION)]
    for question, prompt in zip(questions, winner.probes(), strict=False):
        assert as_go_writes(template, question) == winner.base.render(prompt)


def test_a_template_escapes_what_go_would_read_as_its_own(
    opened: Callable[..., Winner], tiny: HuggingFaceModel
) -> None:
    from dataclasses import replace

    from advisor.data.prompt import QuestionOnly
    from service.handover.ollama import prompt_template

    winner = opened("base", tiny)
    odd = replace(winner, pipeline=replace(winner.pipeline, prompt_builder=QuestionOnly("Fill {{ this }} in.")))
    rendered = odd.base.render((Message(Role.USER, "Fill {{ this }} in.\n\nQuestion: why?"),))
    assert as_go_writes(prompt_template(odd), "why?") == rendered


VLLM_OPTIONS = {
    "--served-model-name", "--dtype", "--max-model-len", "--generation-config", "--seed", "--enable-lora",
    "--max-lora-rank", "--lora-modules",
}  # fmt: skip
LLAMA_SERVER_OPTIONS = {
    "--model", "--alias", "--jinja", "--ctx-size", "--n-predict", "--temp", "--repeat-penalty", "--seed",
    "--grammar-file", "--json-schema-file",
}  # fmt: skip


def command_of(script: Path) -> list[str]:
    shebang, line = script.read_text(encoding="utf-8").splitlines()
    assert shebang == "#!/bin/sh"
    words = shlex.split(line)
    assert words[0] == "exec"
    return words[1:]


def test_vllm_gets_documented_options_and_a_request_as_measured(winner: Winner, written: Callable[[str], Path]) -> None:
    merged, adapter = (command_of(written("vllm") / name) for name in ("serve.sh", "serve-adapter.sh"))
    assert merged[:3] == ["vllm", "serve", "./model"]
    assert {word for word in merged + adapter if word.startswith("--")} <= VLLM_OPTIONS
    assert adapter[adapter.index("--max-lora-rank") + 1] == "8"
    assert adapter[adapter.index("--lora-modules") + 1] == f"{winner.name}=./adapter"
    body = json.loads((written("vllm") / "request.json").read_text(encoding="utf-8"))
    assert body["structured_outputs"]["choice"] == list(winner.dataset.card.labels)
    assert (body["temperature"], body["max_tokens"], body["model"]) == (0, 12, winner.name)


def test_llama_cpp_gets_documented_options_and_a_grammar_of_the_labels(
    winner: Winner, written: Callable[[str], Path]
) -> None:
    convert, serve = (command_of(written("llama-cpp") / name) for name in ("convert.sh", "serve.sh"))
    assert convert[0] == "convert_hf_to_gguf.py"
    assert convert[convert.index("--outtype") + 1] in ("f32", "f16", "bf16", "q8_0", "auto")
    assert convert[convert.index("--outfile") + 1] == serve[serve.index("--model") + 1]
    assert {word for word in serve if word.startswith("--")} <= LLAMA_SERVER_OPTIONS
    grammar = (written("llama-cpp") / "answers.gbnf").read_text(encoding="utf-8")
    rule, _, choices = grammar.strip().partition(" ::= ")
    assert rule == "root"
    assert [json.loads(choice) for choice in choices.split(" | ")] == list(winner.dataset.card.labels)


KAITO = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "resource"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "kaito.sh/v1beta1"},
        "kind": {"const": "Workspace"},
        "metadata": {"required": ["name"], "properties": {"name": {"pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}}},
        "resource": {"required": ["labelSelector"], "properties": {"instanceType": {"type": "string"}}},
        "tuning": {
            "required": ["input", "output"],
            "additionalProperties": False,
            "properties": {
                "preset": {"required": ["name"]},
                "method": {"enum": ["lora", "qlora"]},
                "config": {"type": "string"},
                "input": {"required": ["image"], "properties": {"imagePullSecrets": {"type": "array"}}},
                "output": {"required": ["image", "imagePushSecret"]},
            },
        },
        "inference": {
            "properties": {
                "adapters": {
                    "items": {
                        "required": ["source"],
                        "properties": {
                            "source": {"required": ["name", "image"]},
                            "strength": {"type": "string", "pattern": r"^(0(\.\d+)?|1(\.0+)?)$"},
                        },
                    }
                }
            }
        },
    },
}
"""The fields of a Workspace as KAITO's resource definition and tuning guide document them."""


def test_kaitos_manifests_have_the_documented_fields(winner: Winner, written: Callable[[str], Path]) -> None:
    for name in ("tuning.yaml", "inference.yaml"):
        jsonschema.validate(yaml.safe_load((written("kaito") / name).read_text(encoding="utf-8")), KAITO)
    params = yaml.safe_load((written("kaito") / "params.yaml").read_text(encoding="utf-8"))
    assert (params["kind"], params["metadata"]["name"]) == ("ConfigMap", f"{winner.name}-params")
    config = yaml.safe_load(params["data"]["training_config.yaml"])["training_config"]
    assert set(config) <= {
        "ModelConfig", "QuantizationConfig", "LoraConfig", "TrainingArguments", "DataCollator", "DatasetConfig",
    }  # fmt: skip
    assert (config["LoraConfig"]["r"], config["TrainingArguments"]["num_train_epochs"]) == (4, 2)


AUTOTRAIN = {
    "task", "base_model", "project_name", "log", "backend", "data", "params", "path", "train_split", "valid_split",
    "chat_template", "column_mapping", "text_column", "block_size", "model_max_length", "epochs", "batch_size", "lr",
    "warmup_ratio", "scheduler", "weight_decay", "max_grad_norm", "gradient_accumulation", "optimizer", "seed", "peft",
    "quantization", "lora_r", "lora_alpha", "lora_dropout", "target_modules", "merge_adapter", "padding",
    "mixed_precision",
}  # fmt: skip
"""Keys of a configuration and parameters of `llm-sft`, as AutoTrain documents them."""


def keys_of(data: Any) -> Iterator[str]:
    for key, value in data.items() if isinstance(data, dict) else ():
        yield key
        yield from keys_of(value)


def test_autotrains_configuration_has_documented_keys_alone(written: Callable[[str], Path]) -> None:
    config = yaml.safe_load((written("autotrain") / "autotrain.yml").read_text(encoding="utf-8"))
    assert set(keys_of(config)) <= AUTOTRAIN
    assert (config["params"]["lora_r"], config["params"]["epochs"]) == (4, 2)
    assert (written("autotrain") / config["data"]["path"] / "train.jsonl").is_file()


def test_the_azure_job_runs_the_script_in_the_folder_it_uploads(written: Callable[[str], Path]) -> None:
    job = yaml.safe_load((written("azure-ml") / "job.yml").read_text(encoding="utf-8"))
    code = written("azure-ml") / job["code"]
    assert (code / job["command"].split()[1]).is_file()
    recipe = json.loads((code / "recipe.json").read_text(encoding="utf-8"))
    assert (code / recipe["model"] / "model.safetensors").is_file()
    assert all((code / name).is_file() for name in recipe["files"].values())
    assert (written("azure-ml") / job["environment"]["conda_file"]).is_file()


@pytest.mark.parametrize("constrained", [True, False])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_app_answers_as_the_arm_does(
    constrained: bool,
    opened: Callable[..., Winner],
    tuned: AdaptedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    winner = opened("fine-tuned", tuned, constrained=constrained)
    folder = tmp_path / "app"
    hand_over(winner, "app", folder)
    monkeypatch.setenv("ARM_FOLDER", str(folder))
    spec = importlib.util.spec_from_file_location("handed_over_app", folder / "app.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    from fastapi.testclient import TestClient

    with TestClient(module.app) as client:
        assert client.get("/health").json() == {"name": "tickets-more-fine-tuned"}
        for example in winner.dataset.split(Split.TEST):
            reply = client.post("/answers", json={"question": example.question})
            assert reply.json() == {"answer": winner.pipeline.answer([example.question])[0].text, "passages": []}
        assert client.post("/answers", json={"question": "why " * 5000}).status_code == 422


def test_the_notebook_has_the_cells_of_the_app(written: Callable[[str], Path]) -> None:
    book = json.loads((written("notebook") / "answer.ipynb").read_text(encoding="utf-8"))
    code = [cell["source"] for cell in book["cells"] if cell["cell_type"] == "code"]
    compile("\n".join(code), "answer.ipynb", "exec")
    assert "FastAPI" not in "".join(code)
    assert "Ticket validation 0" in code[-1]


def test_what_cannot_be_handed_over_is_refused_with_the_remedy(
    opened: Callable[..., Winner], tiny: HuggingFaceModel, tuned: AdaptedModel, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="base is not tuned and has no adapter; compare a tuned arm first"):
        hand_over(opened("base", tiny), "peft", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="trained one adapter, and there is nothing to switch to"):
        hand_over(opened("fine-tuned", tuned), "multi-adapter-onnx", tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds something; give a new folder"):
        hand_over(opened("base", tiny), "merged", tmp_path / "full")


def test_the_command_names_the_targets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["handover", "latest", "--to", "nowhere", "--out", str(tmp_path / "x"), "--home", str(tmp_path)])
    assert caught.value.code == 2
    assert f"give one of {', '.join(TARGETS)}" in " ".join(capsys.readouterr().err.split())
