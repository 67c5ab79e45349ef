"""A tiny Llama as a GGUF file, as llama.cpp's converter writes it."""

import json
from pathlib import Path
from typing import Any

TOKEN_NORMAL, TOKEN_CONTROL, TOKEN_UNUSED = 1, 3, 5


def write_tiny_gguf(
    model_folder: Path,
    path: Path,
    *,
    architecture: str = "llama",
    pre_tokenizer: str = "gpt-2",
    without: str | None = None,
) -> Path:
    """The weights and tokenizer of a tiny Llama's folder as one GGUF file in float32.

    Args:
        without: A tensor to leave out.
    """
    import gguf
    import transformers

    module = transformers.AutoModelForCausalLM.from_pretrained(model_folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder)
    config = module.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("Tiny")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, tokenizer, config.vocab_size, pre_tokenizer)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in module.state_dict().items():
        gguf_name = names.get_name(name, try_suffixes=(".weight",))
        values = tensor.numpy()
        # llama.cpp turns neighbouring pairs, transformers halves.
        if ".q_proj." in name:
            values = _permuted(values, config.num_attention_heads)
        elif ".k_proj." in name:
            values = _permuted(values, config.num_key_value_heads)
        if gguf_name != without:
            writer.add_tensor(gguf_name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: Any, tokenizer: Any, vocab_size: int, pre_tokenizer: str) -> None:
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    control = {token["content"] for token in backend["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer)
    types = [TOKEN_CONTROL if token in control else TOKEN_NORMAL for token in tokens]
    padding = [f"[PAD{i}]" for i in range(len(tokens), vocab_size)]
    writer.add_token_list(tokens + padding)
    writer.add_token_types(types + [TOKEN_UNUSED] * len(padding))
    writer.add_token_merges([" ".join(pair) for pair in backend["model"]["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_chat_template(tokenizer.chat_template)


def _permuted(values: Any, n_heads: int) -> Any:
    rows, columns = values.shape
    return values.reshape(n_heads, 2, rows // n_heads // 2, columns).swapaxes(1, 2).reshape(rows, columns).copy()
