"""A model for Ollama: merged weights, and a Modelfile whose template writes the measured prompt."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from advisor.data.prompt import PromptBuilder
from lm.completion import Message, Messages, Role
from lm.errors import ConfigError
from service.handover.weights import MODEL_FOLDER, write_model

if TYPE_CHECKING:
    from service.handover.winner import Winner

_PROBE = "tuning fork question probe"
_ARCHITECTURES = ("llama", "mistral", "gemma", "gemma2", "gemma3", "phi3", "qwen2", "qwen3")
"""Those of which docs.ollama.com says that safetensors are imported, and near relatives."""


def write_ollama(winner: "Winner", folder: Path) -> str:
    """`model/` and `Modelfile`."""
    template = prompt_template(winner)
    (folder / "Modelfile").write_text(modelfile(winner, template), encoding="utf-8")
    merged = write_model(winner, folder)
    kind = winner.base.module.config.model_type
    unknown = "" if kind in _ARCHITECTURES else f" Ollama may not import models of the kind {kind}."
    asked = "the question alone: the template adds the instruction" + (
        " and the worked examples" if winner.kind == "few-shot" else ""
    )
    if not is_whole(winner):
        asked = "the whole prompt below: what it is made of changes from question to question"
    return f"""## Run

```bash
ollama create {winner.name} -f Modelfile
ollama run {winner.name} "your question"
```

Give it {asked}. {merged}{unknown}
"""


def modelfile(winner: "Winner", template: str) -> str:
    """The Modelfile; sampling is switched off, as Ollama's defaults would sample and punish repetition."""
    generation, base = winner.pipeline.generation, winner.base
    ends = sorted(base.module.generation_config.eos_token_id or [])
    stops = [base.tokenizer.decode([end]) for end in ends]
    parameters = {
        "temperature": "0",
        "repeat_penalty": "1",
        "num_predict": str(generation.max_output_tokens),
        "num_ctx": str(base.context_tokens),
        "seed": str(generation.seed),
    }
    lines = [f"# {winner.name}, of comparison {winner.comparison.id}", f"FROM ./{MODEL_FOLDER}"]
    lines += [f"PARAMETER {name} {value}" for name, value in parameters.items()]
    lines += [f'PARAMETER stop "{stop}"' for stop in stops]
    return "\n".join([*lines, f'TEMPLATE """{template}"""', ""])


def is_whole(winner: "Winner") -> bool:
    """Whether the same words stand around every question."""
    return not winner.retrieves and winner.kind != "nearest-few-shot"


def prompt_template(winner: "Winner") -> str:
    """The measured prompt as a template of Go: what stands before and after the question, word for word.

    Raises:
        ConfigError: the model's chat template does not give the question back as it is.
    """
    builder: PromptBuilder = winner.pipeline.prompt_builder
    base = winner.base
    messages: Messages = (Message(Role.USER, _PROBE),)
    if is_whole(winner):
        limit = winner.pipeline.generation.max_output_tokens
        messages = builder.build([_PROBE], winner.pipeline.model, limit)[0].messages
    text = base.render(messages)
    if text.count(_PROBE) != 1 or '"""' in text:
        raise ConfigError(
            f"the prompts of {winner.name} cannot be written as a template of Ollama: the chat template changes the "
            "question, or three quotes stand in it; hand over to vllm instead"
        )
    # Ollama adds the beginning token itself where the tokenizer does.
    first = base.tokenizer("x")["input_ids"][:1]
    if base.tokenizer.bos_token and first == [base.tokenizer.bos_token_id]:
        text = text.removeprefix(base.tokenizer.bos_token)
    before, after = (_escaped(part) for part in text.split(_PROBE))
    return f"{before}{{{{ .Prompt }}}}{after}{{{{ .Response }}}}"


def _escaped(text: str) -> str:
    return re.sub(r"\{\{|\}\}", lambda braces: f'{{{{ "{braces.group()}" }}}}', text)
