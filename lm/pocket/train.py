"""Training of the embedded model: `python -m lm.pocket.train --text FOLDER --out FOLDER --minutes 85`.

FOLDER of `--text` has `general_text.jsonl.gz`, `train.jsonl.gz` and `validation.jsonl.gz` (see MODEL_CARD.md). The
rates fall to zero at the planned end of the run, so a run may be planned by the clock (`--minutes`) or, the same on
machines of any speed, by its steps (`--steps`). `--resume` goes on from the last saved state; `--until MINUTES` ends a
sitting earlier, with the state saved, as if it went on.

On a GPU (untried so far; --device is found by itself) larger batches and more processes that make rows keep it busy:

    python -m lm.pocket.train --text FOLDER --out FOLDER --minutes 20 --batch-tokens 65536 --row-processes 14
"""

import argparse
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
import transformers.models.lfm2.modeling_lfm2 as lfm2
from torch import Tensor, nn
from transformers import Lfm2Config, Lfm2ForCausalLM, PreTrainedTokenizerFast

from lm.pocket.conversations import ConversationSource
from lm.pocket.neighbours import word_neighbours
from lm.pocket.optimizer import MuonAdamW
from lm.pocket.packing import ANSWER, CONTEXT, BatchStream, Packer
from lm.pocket.real_text import RealText, read_contexts, read_real_text
from lm.pocket.tasks import Turn
from lm.pocket.tokenizer import MAX_POSITION, semantic_embeddings, train_tokenizer


@dataclass(frozen=True)
class Recipe:
    """Size of the model and course of the training.

    Attributes:
        layers: one letter a layer: c short convolution, a attention.
        row_tokens: row length of the three stages.
        copying_loss: answer loss in nats below which the first stage ends: longer rows earlier stall the copying.
        first_stage_until, second_stage_until: parts of the run by which these stages end at the latest.
        context_weight: weight of the loss on text that is not an answer, counted on a quarter of its tokens.
        peak: factor on all rates; small to go on from weights whose rates have fallen to zero, without undoing that.
        decay: part of the run over which the rates fall to zero, at its end.
        semantic: whether the embeddings start from the meanings of the tokens' texts.
        embedding_scale: the embeddings' part of the rate.
    """

    vocabulary_size: int = 8192
    hidden_size: int = 256
    n_heads: int = 4
    intermediate_size: int = 640
    layers: str = "cacaa"
    batch_tokens: int = 4096
    row_tokens: tuple[int, int, int] = (256, 512, 1024)
    copying_loss: float = 0.9
    first_stage_until: float = 0.40
    second_stage_until: float = 0.55
    context_weight: float = 0.3
    warmup_steps: int = 60
    peak: float = 1.0
    decay: float = 0.45
    semantic: bool = True
    embedding_scale: float = 0.1
    compiled: bool = True


def build_model(recipe: Recipe) -> nn.Module:
    """A model of random weights."""
    kinds = {"c": "conv", "a": "full_attention"}
    config = Lfm2Config(
        vocab_size=recipe.vocabulary_size,
        hidden_size=recipe.hidden_size,
        num_hidden_layers=len(recipe.layers),
        num_attention_heads=recipe.n_heads,
        num_key_value_heads=recipe.n_heads,
        intermediate_size=recipe.intermediate_size,
        block_auto_adjust_ff_dim=False,
        max_position_embeddings=MAX_POSITION,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        initializer_range=0.02,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        conv_L_cache=3,
        layer_types=[kinds[letter] for letter in recipe.layers],
        dtype="bfloat16",
    )
    model: nn.Module = Lfm2ForCausalLM(config)
    return model


def shifted_convolution(layer: Any, hidden_states: Tensor, **_: object) -> Tensor:
    """The gated short convolution as shifted products: equal to the stock forward, many times faster on a CPU."""
    before, after, x = layer.in_proj(hidden_states).chunk(3, dim=-1)
    gated = before * x
    kernel = layer.conv.weight[:, 0, :]
    width = kernel.shape[1]
    mixed = gated * kernel[:, width - 1]
    for shift in range(1, width):
        mixed = mixed + F.pad(gated, (0, 0, shift, 0))[:, :-shift] * kernel[:, width - 1 - shift]
    out: Tensor = layer.out_proj(after * mixed)
    return out


@contextmanager
def fast_convolutions() -> Iterator[None]:
    """Use `shifted_convolution` inside the block."""
    stock = lfm2.Lfm2ShortConv.forward
    lfm2.Lfm2ShortConv.forward = shifted_convolution
    try:
        yield
    finally:
        lfm2.Lfm2ShortConv.forward = stock


def loss_of(
    model: Any, body: Callable[..., Any], ids: Tensor, classes: Tensor, context_weight: float
) -> tuple[Tensor, float]:
    """Loss of a batch and the answers' part of it in nats; the head runs only where a loss is counted."""
    hidden = body(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    targets, kinds = ids[:, 1:], classes[:, 1:]
    answers = kinds == ANSWER
    context = (kinds == CONTEXT) & (torch.rand(kinds.shape, device=kinds.device) < 0.25)
    head = model.lm_head.weight
    answer_loss = F.cross_entropy(F.linear(hidden[answers], head).float(), targets[answers])
    context_loss = F.cross_entropy(F.linear(hidden[context], head).float(), targets[context])
    return answer_loss + context_weight * context_loss, answer_loss.item()


@torch.no_grad()
def answer_logits(model: Any, row: tuple[list[int], list[int]]) -> tuple[Tensor, Tensor]:
    """Logits (answer tokens, vocabulary) and ids of the tokens of a row's answers."""
    tokens = torch.tensor(row[0], device=model.device)
    hidden = model.model(input_ids=tokens[None], use_cache=False).last_hidden_state[0, :-1]
    wanted = torch.tensor(row[1][1:], device=model.device) == ANSWER
    return F.linear(hidden[wanted], model.lm_head.weight), tokens[1:][wanted]


def exact_match(model: Any, rows: list[tuple[list[int], list[int]]]) -> float:
    """Part of the rows whose whole answer is the most likely continuation: equals greedy decoding's exact match."""
    right = 0
    model.eval()
    for row in rows:
        logits, targets = answer_logits(model, row)
        right += bool((logits.argmax(-1) == targets).all())
    model.train()
    return right / len(rows)


def first_exchange(turns: list[Turn]) -> list[Turn]:
    """A conversation up to its first answer."""
    return turns[: next(i for i, (role, _) in enumerate(turns) if role == "assistant") + 1]


def validation_rows(packer: Packer, validation: RealText, n: int = 24) -> dict[str, list[tuple[list[int], list[int]]]]:
    """Fixed questions: invented documents of a seed of their own and validation contexts."""
    invented = {f"invented_{k}": [packer.source.invented_reading(k, 60) for _ in range(n)] for k in (1, 3)}
    real = ConversationSource(packer.source.rng.randrange(10**6), validation)
    conversations = (
        {**invented, "validation_1": [real.context_reading(1) for _ in range(n)]} if validation.contexts else invented
    )
    return {name: [packer.encode(first_exchange(turns)) for turns in rows] for name, rows in conversations.items()}


def rate_at(step: int, done: float, recipe: Recipe) -> float:
    """Factor on all rates: linear warm-up, plateau, linear fall to zero at `done` = 1; `step` from the (re)start on."""
    return recipe.peak * min(1.0, (step + 1) / recipe.warmup_steps) * min(1.0, max(0.01, (1 - done) / recipe.decay))


def next_stage(stage: int, done: float, answer_loss: float, recipe: Recipe) -> int:
    """Stage of the next batch."""
    if stage == 0 and (answer_loss < recipe.copying_loss or done > recipe.first_stage_until):
        return 1
    if stage == 1 and done > recipe.second_stage_until:
        return 2
    return stage


def train(
    text: Path,
    out: Path,
    *,
    recipe: Recipe,
    minutes: float = 85.0,
    n_steps: int | None = None,
    seed: int = 0,
    save_every_s: float = 600.0,
    resume: bool = False,
    until_minutes: float | None = None,
    max_steps: int | None = None,
    device: str = "cpu",
    n_row_processes: int = 1,
) -> Path:
    """Train and return the folder of the final checkpoint.

    Args:
        text: folder of the real text.
        out: gets `tokenizer/`, `latest/`, `final/`, `state.pt` and `log.txt`.
        recipe: size and course.
        minutes: length of the whole run, earlier parts of a resumed one included.
        n_steps: length of the whole run in steps, instead of minutes.
        seed: of weights, conversations and sampling.
        save_every_s: seconds between checkpoints.
        resume: go on from `out/state.pt`.
        until_minutes, max_steps: stop there, with the state saved, as an interrupted run would.
        device: of the model, as torch names it.
        n_row_processes: processes that make training rows.
    """
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    real = read_real_text(text)
    if recipe.semantic:
        real = replace(real, neighbours=word_neighbours(real.open_words))
    tokenizer = _tokenizer(out / "tokenizer", real, recipe)
    tokenizer_file = out / "tokenizer" / "tokenizer.json"
    model: Any = build_model(recipe)
    if recipe.semantic and not resume:
        embeddings = semantic_embeddings(tokenizer_file, recipe.hidden_size)
        model.model.embed_tokens.weight.data.copy_(torch.from_numpy(embeddings))
    model = model.to(device, torch.bfloat16)
    optimizer = MuonAdamW(model, embedding_scale=recipe.embedding_scale)
    step, n_tokens, spent_s, stage = 0, 0, 0.0, 0
    if resume:
        state = torch.load(out / "state.pt", map_location=device)
        optimizer.load_state_dict(state["optimizer"])
        step, n_tokens, spent_s = state["step"], state["n_tokens"], state["spent_s"]
        # Only forgetting how to copy would need the first stage again; a longer plan may want more of the second.
        stage = min(state["stage"], 1)
        torch.manual_seed(seed + step)
    body = torch.compile(model.model, dynamic=False) if recipe.compiled else model.model
    # A resumed run draws new conversations instead of those it has seen.
    stream = BatchStream(
        tokenizer_file,
        seed * 1_000_003 + step + 1,
        real,
        recipe.row_tokens,
        recipe.batch_tokens,
        n_processes=n_row_processes,
    )
    validation = replace(real, contexts=tuple(read_contexts(text / "validation.jsonl.gz")))
    questions = validation_rows(Packer(tokenizer_file, seed + 987_654, real), validation)

    def say(line: str) -> None:
        with (out / "log.txt").open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")

    def save(name: str) -> Path:
        model.save_pretrained(out / name)
        tokenizer.save_pretrained(out / name)
        state = {
            "optimizer": optimizer.state_dict(),
            "step": step,
            "n_tokens": n_tokens,
            "spent_s": spent(),
            "stage": stage,
        }
        torch.save(state, out / "state.tmp")
        (out / "state.tmp").replace(out / "state.pt")
        scores = " ".join(f"{name} {exact_match(model, rows):.3f}" for name, rows in questions.items())
        say(f"saved {name} step {step} tokens {n_tokens / 1e6:.2f}M {spent():.0f}s {scores}")
        return out / name

    started, first_step = time.monotonic() - spent_s, step

    def spent() -> float:
        return time.monotonic() - started

    def done() -> float:
        return step / n_steps if n_steps else spent() / (60 * minutes)

    n_parameters = sum(p.numel() for p in model.parameters())
    say(f"{asdict(recipe)} minutes {minutes} steps {n_steps} seed {seed} parameters {n_parameters}")
    recent: deque[float] = deque(maxlen=40)
    saved_at, said_at, said_tokens = spent(), spent(), n_tokens
    until_s = math.inf if until_minutes is None else 60 * until_minutes
    with closing(stream), fast_convolutions():
        while done() < 1 and spent() < until_s and (max_steps is None or step < max_steps):
            ids, classes = (torch.from_numpy(rows).to(device).long() for rows in stream.next(stage))
            loss, answer_loss = loss_of(model, body, ids, classes, recipe.context_weight)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step(rate_at(step - first_step, done(), recipe))
            step += 1
            n_tokens += classes[:, 1:].numel()
            recent.append(answer_loss)
            mean = sum(recent) / len(recent)
            if len(recent) == recent.maxlen:
                stage = next_stage(stage, done(), mean, recipe)
            if step % 20 == 0:
                speed = (n_tokens - said_tokens) / (spent() - said_at)
                said_at, said_tokens = spent(), n_tokens
                say(
                    f"step {step} tokens {n_tokens / 1e6:.2f}M {spent():.0f}s stage {stage} "
                    f"answer loss {mean:.3f} {speed:.0f} tokens/s"
                )
            if spent() - saved_at > save_every_s:
                save("latest")
                saved_at = spent()
        return save("final" if done() >= 1 else "latest")


def _tokenizer(folder: Path, real: RealText, recipe: Recipe) -> Any:
    if (folder / "tokenizer.json").exists():
        return PreTrainedTokenizerFast.from_pretrained(folder)
    source = ConversationSource(123, real)

    def texts() -> Any:
        for _ in range(6000):
            yield "\n".join(f" {text}" for _, text in source.conversation(1, 120))
        for _, paragraph in real.paragraphs:
            yield f" {paragraph}"
        for context in real.contexts:
            yield f" {context.text}" + "".join(f" {question} {answer}" for question, answer in context.questions)

    tokenizer = train_tokenizer(texts(), recipe.vocabulary_size)
    tokenizer.save_pretrained(folder)
    return tokenizer


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=Path, required=True, help="folder of the real text")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoints")
    parser.add_argument("--minutes", type=float, default=85.0, help="planned length of the whole run")
    parser.add_argument("--steps", type=int, help="planned length in steps, instead of minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch-tokens", type=int, default=Recipe().batch_tokens)
    parser.add_argument("--row-processes", type=int, default=1, help="that make training rows")
    parser.add_argument("--save-every-s", type=float, default=600.0, help="seconds between checkpoints")
    parser.add_argument("--until", type=float, help="minute of the whole run at which this sitting ends")
    parser.add_argument("--peak", type=float, default=Recipe().peak, help="factor on all rates")
    parser.add_argument(
        "--second-stage-until", type=float, default=Recipe().second_stage_until, help="part of the run on middling rows"
    )
    parser.add_argument(
        "--embedding-scale", type=float, default=Recipe().embedding_scale, help="the embeddings' part of the rate"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last saved state")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train(
        arguments.text,
        arguments.out,
        recipe=Recipe(
            peak=arguments.peak,
            batch_tokens=arguments.batch_tokens,
            second_stage_until=arguments.second_stage_until,
            embedding_scale=arguments.embedding_scale,
        ),
        minutes=arguments.minutes,
        n_steps=arguments.steps,
        seed=arguments.seed,
        save_every_s=arguments.save_every_s,
        resume=arguments.resume,
        until_minutes=arguments.until,
        device=arguments.device,
        n_row_processes=arguments.row_processes,
    )


if __name__ == "__main__":
    main()
