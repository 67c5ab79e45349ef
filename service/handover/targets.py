"""Every form an arm can be handed over in: one visible table. A new target is a file and a row here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from service.handover.app import write_app, write_notebook
from service.handover.autotrain import write_autotrain
from service.handover.azure_ml import write_azure_ml
from service.handover.chat_files import write_foundry, write_openai
from service.handover.kaito import write_kaito
from service.handover.llama_cpp import write_llama_cpp
from service.handover.multi_adapter_onnx import write_multi_adapter_onnx
from service.handover.olive import write_olive
from service.handover.ollama import write_ollama
from service.handover.onnx import write_onnx
from service.handover.trl import write_trl
from service.handover.vllm import write_vllm
from service.handover.weights import write_merged, write_peft

if TYPE_CHECKING:
    from service.handover.winner import Winner


@dataclass(frozen=True, slots=True)
class Target:
    """A form to hand over in.

    Attributes:
        write: Writes the files into an empty folder, and returns the README's own sections as Markdown.
    """

    description: str
    write: Callable[["Winner", Path], str]


TARGETS: Mapping[str, Target] = {
    "peft": Target("the adapter, for peft", write_peft),
    "merged": Target("base and adapter as one model, for transformers", write_merged),
    "openai": Target("training files for OpenAI's fine-tuning API", write_openai),
    "foundry": Target("training files for Azure OpenAI and Azure AI Foundry", write_foundry),
    "ollama": Target("a model and its Modelfile, for Ollama", write_ollama),
    "vllm": Target("a model, an adapter and their commands, for vLLM", write_vllm),
    "llama-cpp": Target("a model and the commands that make a GGUF file of it, for llama.cpp", write_llama_cpp),
    "trl": Target("script, recipe and rows, for Hugging Face TRL", write_trl),
    "azure-ml": Target("a training job, for Azure Machine Learning", write_azure_ml),
    "kaito": Target("manifests that tune and serve on Kubernetes, for KAITO", write_kaito),
    "autotrain": Target("a configuration and rows, for AutoTrain Advanced", write_autotrain),
    "app": Target("a folder that answers over HTTP, with plain libraries", write_app),
    "onnx": Target("a model and its conversion to fp32 and int4, for ONNX Runtime", write_onnx),
    "multi-adapter-onnx": Target("a model and adapters to switch, for ONNX Runtime", write_multi_adapter_onnx),
    "olive": Target("a run that trains and converts, for Microsoft Olive", write_olive),
    "notebook": Target("a notebook that answers, with plain libraries", write_notebook),
}
