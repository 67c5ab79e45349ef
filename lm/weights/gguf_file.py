"""GGUF files: whether one is whole, and the model and tokenizer that transformers makes of it."""

import contextlib
import io
import logging
from pathlib import Path
from typing import Any

from lm.errors import LanguageModelError

_log = logging.getLogger(__name__)

DIGIT_SPLITTING_TOKENIZERS = frozenset(
    {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}
)
"""Values of `tokenizer.ggml.pre` that cut every digit off before GPT-2's rule, as llama.cpp knows them.

transformers 5.23 reads them by GPT-2's rule alone, so a line break or two spaces before a digit became tokens the model
was never trained on.
"""


def read_gguf(path: Path) -> tuple[Any, Any]:
    """The model of a GGUF file in float32, which holds its dequantised weights exactly, and the tokenizer.

    Returns:
        A `PreTrainedModel` and a tokenizer of transformers, both fit for `save_pretrained`.
    Raises:
        LanguageModelError: it is no GGUF file or cut off, transformers cannot read its architecture, or tensors are
            missing.
    """
    header = _read_header(path)
    # By a bare name transformers would take a file of that name in the current folder.
    location = {"pretrained_model_name_or_path": path.parent, "gguf_file": str(path.absolute())}
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    try:
        # Its other progress bar cannot be turned off and is about nothing a user could act on.
        with contextlib.redirect_stderr(io.StringIO()):
            tokenizer = transformers.AutoTokenizer.from_pretrained(**location)
            module, loading = transformers.AutoModelForCausalLM.from_pretrained(
                **location,
                dtype=torch.float32,
                # Without it the model counts as quantised and cannot be saved.
                quantization_config=transformers.GgufConfig(dequantize=True),
                output_loading_info=True,
                # Named below instead.
                ignore_mismatched_sizes=True,
            )
    except Exception as error:
        # Whatever an unknown architecture or tokenizer makes the library raise, it is the file that does not fit.
        raise LanguageModelError(f"the GGUF file {path} cannot be loaded: {_reason(error)}") from error
    unloaded = sorted({*loading["missing_keys"], *(name for name, *_ in loading["mismatched_keys"])})
    if unloaded:
        raise LanguageModelError(
            f"the GGUF file {path} lacks {len(unloaded)} of the model's tensors, {unloaded[0]} first, or holds them in "
            "another shape; they would be random, so fetch another file"
        )
    if any(tensor.name == "rope_freqs.weight" for tensor in header.tensors):
        _log.warning(
            "%s scales rotary positions by factors that transformers does not read from GGUF files: its answers will "
            "be a little worse than those of the same model as safetensors",
            path,
        )
    pre_tokenizer = header.get_field("tokenizer.ggml.pre")
    if pre_tokenizer is not None and pre_tokenizer.contents() in DIGIT_SPLITTING_TOKENIZERS:
        _split_digits(tokenizer)
    tokenizer.model_max_length = module.config.get_text_config().max_position_embeddings
    return module, tokenizer


def _read_header(path: Path) -> Any:
    """The `GGUFReader` of a file whose header and tensors all lie within it."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic != b"GGUF":
        raise LanguageModelError(f"{path} is no GGUF file: it does not begin with the letters GGUF; fetch it again")
    from gguf import GGUFReader

    try:
        return GGUFReader(path)
    except Exception as error:
        # It maps every field and tensor onto the file; where the file ends too early that may raise anything.
        raise LanguageModelError(
            f"the GGUF file {path} is cut off or damaged ({_reason(error)}); fetch it again"
        ) from error


def _split_digits(tokenizer: Any) -> None:
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )


def _reason(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
