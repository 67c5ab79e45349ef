"""The arm of a comparison as a service: start it in this folder with `uvicorn app:app`.

All it needs lies beside it: `arm.json` (prompt, limits), `model/`, and where it searches `embedder/`, `vectors.npy` and
the texts they belong to.
"""

# %% Settings
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(os.environ.get("ARM_FOLDER", "."))
ARM: dict[str, Any] = json.loads((HERE / "arm.json").read_text(encoding="utf-8"))


def read_lines(name: str) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file in this folder."""
    return [json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


# %% What is searched: passages of documents, or training questions with their answers
if ARM["embedder"]:
    from sentence_transformers import SentenceTransformer

    EMBEDDER = SentenceTransformer(str(HERE / "embedder"), device="cpu", model_kwargs={"dtype": "float32"})
    VECTORS = np.load(HERE / "vectors.npy", allow_pickle=False)  # (n_texts, n_dimensions), of length 1
    TEXTS = read_lines("texts.jsonl")


def nearest(question: str, n: int) -> list[dict[str, Any]]:
    """The `n` texts nearest to a question by cosine, nearest first; of equally near ones the first."""
    vector = EMBEDDER.encode([question], normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False)[0]
    cosines = np.round(VECTORS @ vector, ARM["cosine_decimals"])
    return [{**TEXTS[i], "cosine": float(cosines[i])} for i in np.argsort(-cosines, kind="stable")[:n]]


# %% The model
import torch  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessor  # noqa: E402

TOKENIZER = AutoTokenizer.from_pretrained(HERE / "model")
MODEL = AutoModelForCausalLM.from_pretrained(HERE / "model", dtype=ARM["dtype"]).eval()
MODEL.to("cuda" if torch.cuda.is_available() else "cpu")


def token_ids(messages: list[dict[str, str]]) -> list[int]:
    """A prompt as the model reads it."""
    text = TOKENIZER.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    return list(TOKENIZER(text, add_special_tokens=False)["input_ids"])


def fits(messages: list[dict[str, str]]) -> bool:
    """Whether the model's context has room for the prompt and an answer."""
    return bool(len(token_ids(messages)) + ARM["max_output_tokens"] <= ARM["context_tokens"])


# %% The prompt
def turn(instruction: str, question: str, passages: list[str]) -> dict[str, str]:
    """Instruction, numbered passages if any, question."""
    parts = [instruction] if instruction else []
    if passages:
        parts.append("\n\n".join(f"[{i}] {passage}" for i, passage in enumerate(passages, 1)))
    return {"role": "user", "content": "\n\n".join([*parts, f"Question: {question}"])}


def with_shots(question: str, shots: list[list[str]]) -> list[dict[str, str]]:
    """Worked examples as earlier turns; the first ones go where the context is too short."""
    messages: list[dict[str, str]] = []
    for first in range(len(shots) + 1):
        messages = []
        for shot_question, shot_answer in shots[first:]:
            messages.append(turn("" if messages else ARM["instruction"], shot_question, []))
            messages.append({"role": "assistant", "content": shot_answer})
        messages.append(turn("" if messages else ARM["instruction"], question, []))
        if fits(messages):
            break
    return messages


def prompt(question: str) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    """The messages for a question, and the passages that are in them."""
    if ARM["prompt"] == "passages":
        found = nearest(question, ARM["top_k"])
        while found and not fits([turn(ARM["instruction"], question, [p["text"] for p in found])]):
            found.pop()
        return [turn(ARM["instruction"], question, [p["text"] for p in found])], found
    if ARM["prompt"] == "nearest-examples":
        shots = [[row["question"], row["answer"]] for row in reversed(nearest(question, ARM["n_shots"]))]
        return with_shots(question, shots), []
    return with_shots(question, ARM["shots"]), []


# %% The answer
class InForm(LogitsProcessor):  # type: ignore[misc]
    """Holds one answer to a grammar of llguidance: the labels, or the schema."""

    def __init__(self, grammar: str, n_prompt_tokens: int) -> None:
        import llguidance.hf

        global _TOKENS
        if _TOKENS is None:
            n_logits = MODEL.get_output_embeddings().weight.shape[0]
            _TOKENS = llguidance.hf.from_tokenizer(TOKENIZER, n_vocab=n_logits, eos_token=END_IDS or None)
        self.matcher = llguidance.LLMatcher(_TOKENS, llguidance.LLMatcher.grammar_from_lark(grammar))
        self.n_taken = n_prompt_tokens

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Sets what the grammar does not allow next to minus infinity; (1, n_tokens) and (1, vocabulary)."""
        for token in input_ids[0, self.n_taken :].tolist():
            self.matcher.consume_token(token)
        self.n_taken = input_ids.shape[1]
        bits = np.frombuffer(self.matcher.compute_bitmask(), dtype=np.uint8)
        allowed = torch.from_numpy(np.unpackbits(bits, bitorder="little", count=scores.shape[1]).astype(bool))
        return scores.masked_fill(~allowed.to(scores.device), float("-inf"))


_TOKENS: Any = None
_ENDS = MODEL.generation_config.eos_token_id
END_IDS: list[int] = [_ENDS] if isinstance(_ENDS, int) else list(_ENDS or [])


@torch.inference_mode()
def answer(question: str) -> dict[str, Any]:
    """The answer to a question and the passages it was given, greedily decoded.

    Raises:
        ValueError: the question leaves no room for an answer.
    """
    messages, passages = prompt(question)
    ids = token_ids(messages)
    if len(ids) + ARM["max_output_tokens"] > ARM["context_tokens"]:
        raise ValueError(f"the question is too long: {len(ids)} tokens with its prompt")
    held = [InForm(ARM["grammar"], len(ids))] if ARM["grammar"] else []
    read = torch.tensor([ids], device=MODEL.device)
    written = MODEL.generate(
        read,
        attention_mask=torch.ones_like(read),
        do_sample=False,
        max_new_tokens=ARM["max_output_tokens"],
        logits_processor=held,
    )[0, len(ids) :]
    text = TOKENIZER.decode(written, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    for stop in ARM["stop"]:
        text = text.partition(stop)[0]
    return {"answer": text.strip(), "passages": passages}


# %% The service
from fastapi import FastAPI, HTTPException  # noqa: E402
from pydantic import BaseModel, Field  # noqa: E402

app = FastAPI(title=ARM["name"])


class Question(BaseModel):
    """What is asked."""

    question: str = Field(min_length=1, max_length=100_000)


@app.get("/health")
def health() -> dict[str, str]:
    """Answers once the model is loaded."""
    return {"name": ARM["name"]}


@app.post("/answers")
def ask(body: Question) -> dict[str, Any]:
    """Answer a question."""
    try:
        return answer(body.question)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
