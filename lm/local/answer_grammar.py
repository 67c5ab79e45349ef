"""Decoding held to labels or a JSON schema, for local models, by llguidance."""

import json
from typing import Any

import llguidance.hf
import numpy as np
import torch
from llguidance import LLMatcher
from torch import Tensor

from lm.constraint import Constraint, OneOf
from lm.errors import ConfigError, LanguageModelError

_JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""One way to write each record, that of `json.dumps`: space that means nothing is nothing to choose."""


class AnswerGrammar:
    """A constraint compiled for a tokenizer.

    Args:
        tokens: llguidance's form of the tokenizer, by `grammar_tokens`.
        lead: What the model's chat template writes between its prompt and an answer.

    Raises:
        ConfigError: the schema says what cannot be held to while decoding.
    """

    def __init__(self, tokens: Any, constraint: Constraint, lead: str = "") -> None:
        self._start = LLMatcher(tokens, LLMatcher.grammar_from_lark(lark_grammar(constraint, lead)), log_level=0)
        if self._start.is_error():
            what = "labels" if isinstance(constraint, OneOf) else "schema"
            reason = self._start.get_error().strip().splitlines()[0]
            raise ConfigError(
                f"answers cannot be constrained to the dataset's {what}: {reason}; change the {what}, or choose "
                "`--constrain off`"
            )

    def start(self) -> "AnswerForm":
        """The form of an answer of which nothing is said yet."""
        return AnswerForm(self._start.deep_copy())


class AnswerForm:
    """How far an answer has come in its grammar."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    @property
    def is_complete(self) -> bool:
        """Whether nothing but the end may follow."""
        return bool(self._checked(self._matcher.is_stopped()))

    def allow(self, logits: Tensor) -> None:
        """Set the logits, (vocabulary,), of tokens that are not allowed to minus infinity."""
        bits = np.frombuffer(self._checked(self._matcher.compute_bitmask()), dtype=np.uint8)
        allowed = torch.from_numpy(np.unpackbits(bits, bitorder="little", count=logits.shape[0]).astype(bool))
        logits.masked_fill_(~allowed.to(logits.device), float("-inf"))

    def take(self, token: int) -> None:
        """Go on from a chosen token."""
        self._checked(self._matcher.consume_token(token))

    def take_forced(self) -> list[int]:
        """Go on from the tokens that alone are allowed next, and tell them."""
        forced: list[int] = self._matcher.compute_ff_tokens()
        self._checked(self._matcher.consume_tokens(forced))
        return forced

    def _checked(self, value: Any) -> Any:
        if self._matcher.is_error():
            reason = self._matcher.get_error().strip().splitlines()[0]
            raise LanguageModelError(
                f"constrained decoding failed within an answer: {reason}; simplify the schema, or choose "
                "`--constrain off`"
            )
        return value


def grammar_tokens(tokenizer: Any, vocabulary_size: int, end_ids: frozenset[int], model_name: str) -> Any:
    """llguidance's form of a Hugging Face tokenizer; takes about a second.

    Args:
        vocabulary_size: Of the model's logits; may be larger than the tokenizer's.

    Raises:
        ConfigError: the tokenizer is of a kind that cannot be constrained.
    """
    try:
        return llguidance.hf.from_tokenizer(tokenizer, n_vocab=vocabulary_size, eos_token=sorted(end_ids) or None)
    except Exception as error:
        raise ConfigError(
            f"the tokenizer of {model_name!r} cannot be constrained to labels or a schema ({error}); "
            "choose `--constrain off`"
        ) from error


def lark_grammar(constraint: Constraint, lead: str = "") -> str:
    """The constraint as a grammar in llguidance's dialect of Lark."""
    opening = f"{_literal(lead)} " if lead else ""
    if isinstance(constraint, OneOf):
        return f"start: {opening}({' | '.join(map(_literal, constraint.choices))})"
    schema = {**json.loads(constraint.schema), "x-guidance": _JSON_STYLE}
    options = " | ".join(["record", *map(_literal, constraint.alternatives)])
    return f"start: {opening}({options})\nrecord: %json {json.dumps(schema)}"


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
