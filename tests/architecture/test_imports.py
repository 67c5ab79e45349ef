"""What importing must not load, and what lies where. What may import what is checked by `make contracts`."""

import importlib.util
import pkgutil
import subprocess
import sys
from pathlib import Path

import advisor

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "chromadb", "fastapi", "streamlit", "transformers", "sentence_transformers", "peft")

# Classes of these derive from classes of the library they fit us to; nothing imports them before they are asked for.
LAZY = {"advisor.metrics.evaluate_modules", "advisor.metrics.ragas_adapters"}


def loaded_by(module: str) -> list[str]:
    """Heavy packages in memory after importing a module and nothing else."""
    code = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, f"{module}: {done.stderr}"
    return done.stdout.split()


def modules_of_advisor() -> list[str]:
    return sorted(module.name for module in pkgutil.walk_packages(advisor.__path__, "advisor."))


def test_the_advisor_loads_nothing_heavy() -> None:
    names = [name for name in modules_of_advisor() if name not in LAZY]
    assert "advisor.decision.recommendation" in names
    assert loaded_by(", ".join(["advisor", *names])) == []


def test_naming_models_loads_nothing_heavy() -> None:
    assert loaded_by("lm.registry") == []


def test_the_check_sees_what_is_loaded() -> None:
    assert loaded_by("fastapi") == ["fastapi"]


def test_there_is_no_code_among_the_data_sets() -> None:
    assert list((ROOT / "datasets").rglob("*.py")) == []


def test_the_package_called_datasets_is_the_installed_one() -> None:
    spec = importlib.util.find_spec("datasets")
    assert spec is not None
    assert spec.origin is not None
    assert not Path(spec.origin).is_relative_to(ROOT / "datasets")
