import shutil
from pathlib import Path

import pytest
import torch
import transformers

from lm.errors import LanguageModelError
from lm.weights.gguf_file import read_gguf
from tests.tiny_gguf import write_tiny_gguf


def test_weights_and_tokens_are_those_the_file_was_made_of(tiny_gguf: Path, tiny_model_folder: Path) -> None:
    module, tokenizer = read_gguf(tiny_gguf)
    original = transformers.AutoModelForCausalLM.from_pretrained(tiny_model_folder)
    original_tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model_folder)
    weights = module.state_dict()
    assert weights.keys() == original.state_dict().keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in original.state_dict().items())
    text = "<|user|> How long is the warranty?<|end|><|assistant|>Two years."
    assert tokenizer(text)["input_ids"] == original_tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.chat_template == original_tokenizer.chat_template
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)
    assert tokenizer.model_max_length == module.config.max_position_embeddings == 256


def test_a_file_of_the_same_name_in_the_current_folder_is_not_taken(
    tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / tiny_gguf.name).write_bytes(b"another")
    monkeypatch.chdir(tmp_path)
    read_gguf(tiny_gguf)


def test_tokenizers_that_cut_digits_off_first_do_so(tiny_model_folder: Path, tmp_path: Path) -> None:
    def pieces(pre_tokenizer: str) -> list[str]:
        path = write_tiny_gguf(tiny_model_folder, tmp_path / f"{pre_tokenizer}.gguf", pre_tokenizer=pre_tokenizer)
        splitter = read_gguf(path)[1].backend_tokenizer.pre_tokenizer
        return [piece for piece, _ in splitter.pre_tokenize_str("a\n\n12")]

    assert pieces("gpt-2") == ["a", "Ċ", "Ċ", "12"]
    assert pieces("smollm") == ["a", "ĊĊ", "1", "2"]


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(LanguageModelError, match=r"model\.gguf is no GGUF file"):
        read_gguf(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.3, 0.6, 0.999])
def test_a_file_that_is_cut_off_is_refused(tiny_gguf: Path, tmp_path: Path, share: float) -> None:
    path = tmp_path / "cut.gguf"
    content = tiny_gguf.read_bytes()
    path.write_bytes(content[: 4 + int(share * (len(content) - 4))])
    with pytest.raises(LanguageModelError, match=r"cut\.gguf is cut off"):
        read_gguf(path)


def test_a_file_whose_last_tensor_lies_beyond_its_end_is_refused(tiny_gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    shutil.copy(tiny_gguf, path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 64)
    with pytest.raises(LanguageModelError, match=r"cut\.gguf is cut off"):
        read_gguf(path)


def test_an_unknown_architecture_is_named(tiny_model_folder: Path, tmp_path: Path) -> None:
    path = write_tiny_gguf(tiny_model_folder, tmp_path / "odd.gguf", architecture="oddmodel")
    with pytest.raises(LanguageModelError, match=r"odd\.gguf cannot be loaded: .*oddmodel"):
        read_gguf(path)


def test_a_missing_tensor_is_named_rather_than_drawn_at_random(tiny_model_folder: Path, tmp_path: Path) -> None:
    path = write_tiny_gguf(tiny_model_folder, tmp_path / "part.gguf", without="blk.1.ffn_up.weight")
    with pytest.raises(LanguageModelError, match=r"part\.gguf lacks 1 of the model's tensors, model\.layers\.1"):
        read_gguf(path)
