"""Adapters and merged models as other trainers write them: taken as arms, or refused before anything is asked."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from advisor.data.files import load_dataset
from advisor.results.comparison import ArmRole
from lm.errors import TuningForkError
from service.run.composition import LocalComposition
from service.run.progress import silent
from service.run.settings import ComparisonSettings
from service.run.workflow import run_comparison

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trl_adapter(tiny_reader_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter after a few steps of TRL, in the folder that its trainer writes."""
    import datasets
    import peft
    import trl

    folder = tmp_path_factory.mktemp("trl")
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Question: Colour of thing {i}?"},
                {"role": "assistant", "content": f"c{i}"},
            ]
        }
        for i in range(8)
    ]
    trainer = trl.SFTTrainer(
        model=str(tiny_reader_folder),
        train_dataset=datasets.Dataset.from_list(rows),
        args=trl.SFTConfig(
            output_dir=str(folder / "run"),
            max_steps=3,
            per_device_train_batch_size=4,
            learning_rate=0.05,
            report_to=[],
            save_strategy="no",
            use_cpu=True,
            bf16=False,
            activation_checkpointing=False,
        ),
        peft_config=peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
    )
    trainer.train()
    trainer.save_model(str(folder / "adapter"))
    return folder / "adapter"


def settings_of(workplace: Any, model: Path, *arms: str) -> ComparisonSettings:
    changed: ComparisonSettings = replace(workplace.settings, model=f"hf:{model}", arms=arms, limit=30)
    return changed


def test_an_adapter_of_trl_is_an_arm(workplace: Any, tiny_reader_folder: Path, trl_adapter: Path) -> None:
    assert {"adapter_config.json", "adapter_model.safetensors", "training_args.bin"} <= {
        path.name for path in trl_adapter.iterdir()
    }
    settings = settings_of(workplace, tiny_reader_folder, "base", f"theirs=adapter:{trl_adapter}")
    comparison = run_comparison(settings, workplace.directory, LocalComposition, "tiny")
    base, theirs = [arm for arm in comparison.arms if arm.role is ArmRole.CANDIDATE]
    assert (theirs.kind, theirs.model) == ("adapter", base.model)
    assert theirs.unknown == ("build time", "build cost")
    assert (theirs.cost, base.cost is None) == (None, False)
    assert theirs.input_tokens == base.input_tokens
    assert comparison.hashes["pipeline theirs"] != comparison.hashes["pipeline base"]
    assert comparison.hashes["base theirs"] == comparison.hashes["base base"]


def test_a_merged_model_is_an_arm_on_a_model_of_its_own(
    workplace: Any, tiny_reader_folder: Path, tiny_model_folder: Path
) -> None:
    settings = settings_of(workplace, tiny_reader_folder, "base", f"merged=adapter:{tiny_model_folder}")
    composition = LocalComposition(settings, workplace.directory, silent)
    merged = composition.arm("merged", load_dataset(workplace.folder))
    assert settings.models == (f"hf:{tiny_reader_folder}", f"hf:{tiny_model_folder}")
    assert (merged.tuned, merged.outside) == (True, True)
    assert merged.base is not composition.model


def pickled(folder: Path) -> str:
    (folder / "adapter_model.safetensors").unlink()
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04cos\nsystem\n.")
    return "only pickled weights"


def no_lora(folder: Path) -> str:
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"peft_type": "PROMPT_TUNING"}))
    return "supported are LORA, IA3, VERA"


@pytest.mark.parametrize("poison", [pickled, no_lora])
def test_a_poisoned_adapter_is_refused(
    workplace: Any, tiny_reader_folder: Path, trl_adapter: Path, tmp_path: Path, poison: Any
) -> None:
    folder = shutil.copytree(trl_adapter, tmp_path / "poisoned")
    message = poison(folder)
    refused(settings_of(workplace, tiny_reader_folder, "base", f"adapter:{folder}"), workplace, message)


def test_an_adapter_of_another_base_is_refused(workplace: Any, tiny_model_folder: Path, trl_adapter: Path) -> None:
    refused(settings_of(workplace, tiny_model_folder, "base", f"adapter:{trl_adapter}"), workplace, "trained on")


def test_a_merged_model_with_code_of_its_own_is_refused(
    workplace: Any, tiny_reader_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_reader_folder, tmp_path / "coded")
    config = json.loads((folder / "config.json").read_text())
    code = {"auto_map": {"AutoModelForCausalLM": "evil.Model", "AutoConfig": "evil.Config"}, "model_type": "evil"}
    (folder / "config.json").write_text(json.dumps(config | code))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').write('x')")
    refused(settings_of(workplace, tiny_reader_folder, "base", f"adapter:{folder}"), workplace, "code|custom|evil")
    assert not (tmp_path / "ran").exists()


def refused(settings: ComparisonSettings, workplace: Any, message: str) -> None:
    with pytest.raises(TuningForkError, match=message):
        list(LocalComposition(settings, workplace.directory, silent).arms(load_dataset(workplace.folder)))
