"""How the command line shows an answer."""

from rich.console import Console

from advisor.answer import Answer

_SHOWN_CHARACTERS = 160


def print_answer(console: Console, answer: Answer) -> None:
    """The answer, the passages it was given, and what it cost. All of it is untrusted text and printed as it is."""
    console.print(answer.text or "(empty answer)", style="bold", highlight=False, markup=False)
    for number, chunk in enumerate(answer.retrieved, 1):
        text = " ".join(chunk.text.split())
        shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
        left_out = "" if chunk.used else " (left out: the context is full)"
        line = f"  [{number}] {chunk.score:.2f} {chunk.document_id}: {chunk.title}{left_out}\n      {shown}"
        console.print(line, highlight=False, markup=False, style="dim")
    usage = answer.usage
    console.print(
        f"  {usage.input_tokens} tokens in, {usage.output_tokens} out, {usage.latency_s:.2f} s",
        highlight=False,
        markup=False,
        style="dim",
    )
