"""Training rows: the prompt a question gets at answering time, and the answer tokens the loss is taken over."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from advisor.data.dataset import Example
from advisor.data.prompt import question_turn, reference_text
from finetune.errors import TrainingError
from lm.completion import Message, Messages, Role

if TYPE_CHECKING:
    from lm.local.huggingface import HuggingFaceModel


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """Prompt and answer as one sequence; only the tokens from `n_prompt_tokens` on are scored."""

    example_id: str
    token_ids: tuple[int, ...]
    n_prompt_tokens: int

    @property
    def n_answer_tokens(self) -> int:
        """Tokens the loss is taken over, end token included."""
        return len(self.token_ids) - self.n_prompt_tokens

    @property
    def is_text(self) -> bool:
        """Whether it is read as plain text: all but the first token scored."""
        return self.n_prompt_tokens == 1


@dataclass(frozen=True, slots=True)
class RowReport:
    """What became of the examples, or of the texts.

    Attributes:
        n_examples: Examples or texts that rows were to be made of.
        too_long_ids: Those left out because the row exceeds `max_length`; nothing is ever truncated.
        n_tokens: Of all rows together, prompts included.
        n_answer_tokens: Tokens the loss is taken over.
    """

    n_examples: int
    n_rows: int
    too_long_ids: tuple[str, ...]
    n_tokens: int
    n_answer_tokens: int
    longest_row_tokens: int
    max_length: int

    @property
    def n_too_long(self) -> int:
        """Examples left out for their length."""
        return len(self.too_long_ids)


def question_messages(instruction: str) -> Callable[[Example], Messages]:
    """The prompt of the question-only arms."""
    return lambda example: (question_turn(instruction, example.asked),)


def build_rows(
    examples: Sequence[Example],
    messages_of: Callable[[Example], Messages],
    model: "HuggingFaceModel",
    max_length: int,
) -> tuple[tuple[TrainingRow, ...], RowReport]:
    """Tokenise each example exactly as the model reads it when it answers.

    The answer is the canonical reference (or the abstention) and the end token of the assistant's turn; what a template
    writes behind the end token is left out, as generation stops there.

    Args:
        messages_of: The prompt of an example, without the answer.
        max_length: Longest row in tokens; longer ones are left out and counted.
    Raises:
        TrainingError: the template does not continue its own generation prompt, or ends no turn.
    """
    rows = [_row(example, messages_of(example), model) for example in examples]
    return _kept(rows, max_length, n_examples=len(rows))


def build_text_rows(
    texts: Sequence[str], model: "HuggingFaceModel", max_length: int
) -> tuple[tuple[TrainingRow, ...], RowReport]:
    """Rows for reading: each text as the tokenizer gives it, without a chat template, every token but the first scored.

    Args:
        max_length: Longest row in tokens; longer ones are left out and counted, as are texts of a single token.
    """
    tokenised = [tuple(model.tokenizer(text, verbose=False)["input_ids"]) for text in texts]
    rows = [TrainingRow(f"text {i}", ids, 1) for i, ids in enumerate(tokenised, 1) if len(ids) > 1]
    return _kept(rows, max_length, n_examples=len(texts))


def rows_hash(rows: Sequence[TrainingRow]) -> str:
    """SHA-256 of the token ids and what of them is scored, order included."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row.token_ids, row.n_prompt_tokens]).encode())
    return digest.hexdigest()


def _kept(
    rows: Sequence[TrainingRow], max_length: int, *, n_examples: int
) -> tuple[tuple[TrainingRow, ...], RowReport]:
    kept = tuple(row for row in rows if len(row.token_ids) <= max_length)
    report = RowReport(
        n_examples=n_examples,
        n_rows=len(kept),
        too_long_ids=tuple(row.example_id for row in rows if len(row.token_ids) > max_length),
        n_tokens=sum(len(row.token_ids) for row in kept),
        n_answer_tokens=sum(row.n_answer_tokens for row in kept),
        longest_row_tokens=max((len(row.token_ids) for row in rows), default=0),
        max_length=max_length,
    )
    return kept, report


def _row(example: Example, prompt: Messages, model: "HuggingFaceModel") -> TrainingRow:
    answer = Message(Role.ASSISTANT, reference_text(example))
    prompt_ids = model.encode(prompt)
    full_ids = model.encode([*prompt, answer], add_generation_prompt=False)
    if full_ids[: len(prompt_ids)] != prompt_ids:
        raise TrainingError(
            f"the chat template of {model.name!r} does not continue its own generation prompt: the tokens of question "
            f"{example.id!r} with its answer do not begin with the tokens of the question alone. Correct the template: "
            f"with add_generation_prompt it must end exactly where the assistant's text begins"
        )
    ends = model.module.generation_config.eos_token_id or []
    end = next((i for i in range(len(prompt_ids), len(full_ids)) if full_ids[i] in ends), None)
    if end is None:
        raise TrainingError(
            f"the chat template of {model.name!r} closes the assistant's turn with none of the model's end tokens "
            f"{ends}, so a tuned model would never stop; correct the template or eos_token"
        )
    return TrainingRow(example.id, tuple(full_ids[: end + 1]), len(prompt_ids))
