"""The arm as a folder that serves itself with plain libraries, and the same as a notebook."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advisor.data.dataset import Split
from advisor.data.prompt import FewShot, QuestionOnly
from lm.errors import ConfigError
from lm.files import copy_folder
from service.handover.training_rows import write_json_lines
from service.handover.trl import pinned
from service.handover.weights import write_model

if TYPE_CHECKING:
    from service.handover.winner import Winner

SCRIPT = Path(__file__).parent / "scripts" / "app.py"
SETTINGS = "arm.json"
_N_ASKED = 3


def write_app(winner: "Winner", folder: Path) -> str:
    """`app.py` and all it reads, `requirements.txt`, `Dockerfile`."""
    checked = _write_parts(winner, folder)
    shutil.copyfile(SCRIPT, folder / SCRIPT.name)
    packages = pinned(*_packages(winner), "fastapi", "uvicorn", "pydantic")
    (folder / "requirements.txt").write_text("".join(f"{one}\n" for one in packages), encoding="utf-8")
    (folder / "Dockerfile").write_text(
        """FROM python:3.11-slim
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -r requirements.txt
COPY . .
EXPOSE 8000
CMD ["uvicorn", "app:app", "--host", "0.0.0.0", "--port", "8000"]
""",
        encoding="utf-8",
    )
    return f"""## Serve

```bash
pip install -r requirements.txt
uvicorn app:app --port 8000
curl http://localhost:8000/answers -H 'Content-Type: application/json' -d '{{"question": "..."}}'
```

or `docker build -t {winner.name} . && docker run -p 8000:8000 {winner.name}`.

It answers one question at a time, without keys or limits: put it behind something that has both. {checked}
"""


def write_notebook(winner: "Winner", folder: Path) -> str:
    """`answer.ipynb`: the cells of `app.py` without the service, and some questions."""
    checked = _write_parts(winner, folder)
    asked = [e.asked for e in (*winner.dataset.split(Split.VALIDATION), *winner.dataset.split(Split.TRAIN))][:_N_ASKED]
    sections = [section.strip() for section in SCRIPT.read_text(encoding="utf-8").split("# %% ")[1:]]
    cells = [_markdown(f"# {winner.name}\n\nAn arm of the comparison {winner.comparison.id}, with plain libraries.")]
    for section in sections:
        title, _, code = section.partition("\n")
        if title != "The service":
            cells += [_markdown(f"## {title}"), _code(code.strip().replace("  # noqa: E402", ""))]
    questions = json.dumps(asked, ensure_ascii=False, indent=4)
    cells += [
        _markdown("## Questions"),
        _code(f"for question in {questions}:\n    print(question, answer(question), sep='\\n')"),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    book = {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": _numbered(cells)}
    (folder / "answer.ipynb").write_text(json.dumps(book, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    packages = " ".join(pinned(*_packages(winner)))
    return f"""## Run

```bash
pip install jupyter {packages}
jupyter execute answer.ipynb --inplace
```

{checked}
"""


def _write_parts(winner: "Winner", folder: Path) -> str:
    _refuse_unsuitable(winner)
    settings = arm_settings(winner)
    (folder / SETTINGS).write_text(json.dumps(settings, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    if settings["embedder"]:
        _write_search(winner, folder)
    return write_model(winner, folder)


def _refuse_unsuitable(winner: "Winner") -> None:
    if winner.settings.embedder.startswith("openai:") and (winner.retrieves or winner.kind == "nearest-few-shot"):
        raise ConfigError(
            f"{winner.arm} searches by the hosted embedder {winner.settings.embedder}, which cannot be put "
            "into a folder; compare with a local embedder, or deploy the arm in Tuning Fork"
        )


def arm_settings(winner: "Winner") -> dict[str, Any]:
    """What `app.py` reads."""
    from lm.local.answer_grammar import lark_grammar
    from lm.local.chat_template import PLAIN_STOP, PLAIN_TEMPLATE, ChatTemplate

    generation, builder, base = winner.pipeline.generation, winner.pipeline.prompt_builder, winner.base
    constraint = generation.constraint
    lead = ChatTemplate(base.tokenizer).answer_lead
    searches = winner.retrieves or winner.kind == "nearest-few-shot"
    kind = "passages" if winner.retrieves else "nearest-examples" if searches else "examples"
    if not searches and not isinstance(builder, (QuestionOnly, FewShot)):
        raise ConfigError(f"{winner.arm} has no prompt that a folder could rebuild; deploy the arm in Tuning Fork")
    return {
        "name": winner.name,
        "instruction": builder.instruction,
        "prompt": kind,
        "shots": [list(shot) for shot in builder.shots] if isinstance(builder, FewShot) else [],
        "top_k": winner.settings.top_k,
        "n_shots": winner.settings.n_shots,
        "cosine_decimals": 6 if winner.retrieves else 4,
        "embedder": "embedder" if searches else None,
        "max_output_tokens": generation.max_output_tokens,
        "context_tokens": base.context_tokens,
        "dtype": winner.written_dtype,
        "grammar": lark_grammar(constraint, lead) if constraint is not None else None,
        "stop": list(PLAIN_STOP) if base.tokenizer.chat_template == PLAIN_TEMPLATE else [],
    }


def _write_search(winner: "Winner", folder: Path) -> None:
    import numpy as np

    texts, vectors, embedder = winner.searched()
    np.save(folder / "vectors.npy", vectors, allow_pickle=False)
    write_json_lines(folder / "texts.jsonl", texts)
    copy_folder(embedder, folder / "embedder", leave_out=("__pycache__", "*.py", ".git"))


def _packages(winner: "Winner") -> list[str]:
    packages = ["torch", "transformers", "safetensors", "numpy"]
    if winner.retrieves or winner.kind == "nearest-few-shot":
        packages.append("sentence-transformers")
    if winner.pipeline.generation.constraint is not None:
        packages.append("llguidance")
    return packages


def _numbered(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": f"cell-{number}", **cell} for number, cell in enumerate(cells)]


def _markdown(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def _code(text: str) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": text}
