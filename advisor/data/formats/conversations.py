"""Turns of a conversation, whatever their format: the last answer, the question before it, and what came before."""

from collections.abc import Sequence
from dataclasses import dataclass

from advisor.data.dataset import Dataset, Example
from advisor.data.formats.format import Imported
from advisor.data.formats.rows import SourceRow
from advisor.data.prompt import reference_text

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"


@dataclass(frozen=True, slots=True)
class Turn:
    """One message; why it cannot be read, or "" where it can."""

    role: str
    text: str
    fault: str = ""


def add_conversation(row: SourceRow, turns: Sequence[Turn], out: Imported) -> None:
    """Add the question that a conversation ends with; what cannot be one is left out and named."""
    if fault := next((turn.fault for turn in turns if turn.fault), ""):
        out.leave_out(row, fault)
        return
    spoken = [turn for turn in turns if turn.role != SYSTEM]
    if len(spoken) < 2 or spoken[-1].role != ASSISTANT or spoken[-2].role != USER:
        out.leave_out(row, "it does not end with a question and its answer")
        return
    for turn in turns:
        if turn.role == SYSTEM and turn.text.strip():
            out.instructions[turn.text.strip()] += 1
    history = [{"role": turn.role, "content": turn.text} for turn in spoken[:-2]]
    out.add_question(row, spoken[-2].text, [spoken[-1].text], history=history)


def turns_of(dataset: Dataset, example: Example) -> list[Turn]:
    """A question of ours as a conversation: instruction, history, question, answer."""
    instruction = dataset.card.instruction
    history = [Turn(str(message.role), message.content) for message in example.history]
    turns = [Turn(SYSTEM, instruction)] if instruction else []
    return [*turns, *history, Turn(USER, example.question), Turn(ASSISTANT, reference_text(example))]
