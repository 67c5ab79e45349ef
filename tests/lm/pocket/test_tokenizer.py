from typing import Any

import pytest

from lm.pocket.tokenizer import SPECIAL_TOKENS, train_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(["The warranty lasts 24 months. How long is the warranty?"] * 5, 300)


def test_special_tokens_come_first(tokenizer: Any) -> None:
    assert tuple(tokenizer.convert_ids_to_tokens(range(len(SPECIAL_TOKENS)))) == SPECIAL_TOKENS


def test_any_text_survives(tokenizer: Any) -> None:
    text = " Größe: 3,5 µm → naïve\n\n\tok 漢字 🙂"
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_digits_are_tokens_of_their_own(tokenizer: Any) -> None:
    assert tokenizer.tokenize("2411") == list("2411")


def test_an_answer_begins_with_the_token_it_has_inside_a_passage(tokenizer: Any) -> None:
    chat = [{"role": "user", "content": "How long?"}, {"role": "assistant", "content": "months"}]
    rendered = tokenizer.apply_chat_template(chat, tokenize=False)
    assert rendered == "<|bos|><|user|> How long?<|end|><|assistant|> months<|end|>"
    assert tokenizer.tokenize("24 months")[2:] == tokenizer.tokenize(rendered.split("<|assistant|>")[1])[:-1]
