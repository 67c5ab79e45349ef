"""How the command line shows an answer."""

from rich.console import Console

from advisor.results.answer import Answer
from service.cli.terminal import printable

_SHOWN_CHARACTERS = 160


def print_answer(console: Console, answer: Answer) -> None:
    """The answer, the passages it was given, and what it cost. Texts of models and documents are never markup."""
    console.print(printable(answer.text) or "(empty answer)", style="bold")
    lines = []
    for number, chunk in enumerate(answer.retrieved, 1):
        text = " ".join(chunk.text.split())
        shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
        left_out = "" if chunk.used else " (left out: the context is full)"
        lines += [f"  [{number}] {chunk.score:.2f} {chunk.document_id}: {chunk.title}{left_out}", f"      {shown}"]
    usage = answer.usage
    cut = " (cut at the longest answer the dataset allows)" if answer.finish_reason == "length" else ""
    lines.append(f"  {usage.input_tokens} tokens in, {usage.output_tokens} out{cut}, {usage.latency_s:.2f} s")
    for line in lines:
        console.print(printable(line), style="dim")
