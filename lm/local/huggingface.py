"""Local models through Hugging Face transformers: one path for every family, LoRA adapters on one shared base."""

import contextlib
import json
import queue
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers

from lm.answer_text import certain_part, cut_at_stop
from lm.completion import Completion, FinishReason, GenerationConfig, Likelihood, Messages, Usage
from lm.constraint import Constraint
from lm.errors import ConfigError, LanguageModelError, MissingDependencyError
from lm.files import hash_files, sha256
from lm.local.adapter import AdapterFiles, check_fits_base, read_adapter
from lm.local.batch_plan import plan_batches
from lm.local.chat_template import ChatTemplate
from lm.local.decoding import DecodingRules, Form, decode
from lm.local.dtype import choose_dtype
from lm.local.forward import Forward
from lm.local.fused_lora import fuse_lora, unfuse_lora
from lm.local.prefill import Unread
from lm.local.shared_beginning import Shared, SharedBeginnings
from lm.unknown_tokens import unknown_share
from lm.weights.model_files import count_parameters, find_weight_files, locate_model

if TYPE_CHECKING:
    from lm.local.answer_grammar import AnswerGrammar

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
_CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
_DEFAULT_CONTEXT_TOKENS = 2048
_LARGEST_SANE_CONTEXT = 10**8


def load_huggingface_model(
    name_or_path: str | Path,
    *,
    name: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    trust_remote_code: bool = False,
    revision: str | None = None,
) -> "HuggingFaceModel":
    """Load a causal language model with its tokenizer, from safetensors only.

    Args:
        name_or_path: A folder, or a hub id (`org/name`).
        name: What reports call it; `hf:<name_or_path>` if not given.
        device: `cpu`, `cuda`, `cuda:1`, ...; a GPU if there is one.
        dtype: `float32`, `bfloat16` or `float16`; chosen by `lm.local.dtype` if not given.
        trust_remote_code: Run Python code that comes with the model. Only for models you have read.
        revision: A branch, tag or commit of a hub model.

    Raises:
        LanguageModelError: the model is missing, damaged, incomplete, or has only pickled weights.
        ConfigError: the device or dtype does not exist.
    """
    folder = locate_model(name_or_path, revision=revision, trust_remote_code=trust_remote_code)
    weight_files = find_weight_files(folder)
    torch_device = _device(device)
    torch_dtype = choose_dtype(torch_device, count_parameters(weight_files), dtype)
    # Its notices (slower fallback kernels, progress bars) are about nothing a user could act on.
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
        module, loading = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch_dtype,
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
        module.to(torch_device)
    except ImportError as error:
        raise MissingDependencyError(
            f"the model {str(name_or_path)!r} needs a package that is not installed: {error}"
        ) from error
    except Exception as error:
        # Whatever a damaged or unknown model makes the library raise, it is the model the user has to fix.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise LanguageModelError(f"the model {str(name_or_path)!r} cannot be loaded: {reason}") from error
    if loading["missing_keys"]:
        missing = sorted(loading["missing_keys"])
        raise LanguageModelError(
            f"the weights of {str(name_or_path)!r} lack {len(missing)} tensors, {missing[0]} first; "
            "they would be random, so fetch the model again"
        )
    base_name = name or f"hf:{name_or_path}"
    return HuggingFaceModel(module, tokenizer, folder=folder, name=base_name, source=str(name_or_path))


def _device(requested: str | None) -> torch.device:
    if requested is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(requested)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"the device {requested!r} cannot be used here; choose cpu, or cuda with a GPU") from error
    return device


class HuggingFaceModel:
    """A loaded causal language model; the base that any number of adapters share.

    Several threads may use the model and its adapters: one lock lets one of them generate at a time.

    Attributes:
        module: The `PreTrainedModel`, in evaluation mode. Attached adapters live inside it.
        tokenizer: Its tokenizer; always has a chat template.
        device: Where it runs.
        folder: Where its files lie.
        source: The path or hub id it was loaded by.
    """

    def __init__(self, module: Any, tokenizer: Any, *, folder: Path, name: str, source: str) -> None:
        self.module = module.eval()
        self.tokenizer = tokenizer
        self.folder = folder
        self.source = source
        self.device: torch.device = module.device
        self._name = name
        self._template = ChatTemplate(tokenizer)
        self._end_ids = _end_ids(module, tokenizer)
        pad_id = tokenizer.pad_token_id
        self._pad_id: int = pad_id if pad_id is not None else min(self._end_ids, default=0)
        # Sampling settings that come with a model would make arms differ in more than their weights.
        module.generation_config = transformers.GenerationConfig(
            eos_token_id=sorted(self._end_ids) or None, pad_token_id=self._pad_id
        )
        self._context_tokens = _context_tokens(module.config, tokenizer)
        self._forward = Forward(module, self._pad_id)
        self._beginnings = SharedBeginnings(self._forward, lambda token: "\n" in self._decode([token]))
        self._grammar_tokens: Any = None
        self._grammars: dict[Constraint, AnswerGrammar] = {}
        self._lock = threading.RLock()
        self._tokenizer_lock = threading.Lock()
        self._peft: Any = None
        self._active: str | None = None
        self._n_handles: Counter[str] = Counter()
        self._fingerprint: str | None = None

    @property
    def name(self) -> str:
        """The name shown in reports."""
        return self._name

    @property
    def dtype_name(self) -> str:
        """What it computes in, e.g. `float32`."""
        return str(self.module.dtype).removeprefix("torch.")

    @property
    def n_parameters(self) -> int:
        """Parameters of the base model, tied ones once, without adapters."""
        return count_parameters(find_weight_files(self.folder))

    @property
    def weights_sha256(self) -> str:
        """Hash of the weight files alone: what an adapter is trained on, whatever device or dtype it ran in."""
        return hash_files(find_weight_files(self.folder))

    @property
    def fingerprint(self) -> str:
        """Hash of weights, config, tokenizer, template, end tokens, dtype, kind of device and transformers' version."""
        if self._fingerprint is None:
            self._fingerprint = _hash(
                self.weights_sha256,
                hash_files([self.folder / "config.json"]),
                self._hash_tokenizer_files(),
                self._template.source,
                sorted(self._end_ids),
                self.dtype_name,
                self.device.type,
                transformers.__version__,
            )
        return self._fingerprint

    @cached_property
    def tokenizer_fingerprint(self) -> str:
        """Hash of what decides how texts become tokens."""
        return _hash(self._hash_tokenizer_files(), self._template.source)

    def _hash_tokenizer_files(self) -> str:
        return hash_files([self.folder / name for name in _TOKENIZER_FILES if (self.folder / name).is_file()])

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Tokens outside the vocabulary as a share of all."""
        with self._tokenizer_lock:
            return unknown_share(self.tokenizer, texts)

    @property
    def context_tokens(self) -> int:
        """Longest prompt and answer together, by the model's config and its tokenizer."""
        return self._context_tokens

    def render(self, messages: Messages, *, add_generation_prompt: bool = True) -> str:
        """The text the model reads, chat template and special tokens included."""
        return self._template.render(messages, add_generation_prompt=add_generation_prompt)

    def encode(self, messages: Messages, *, add_generation_prompt: bool = True) -> list[int]:
        """The token ids the model reads."""
        text = self.render(messages, add_generation_prompt=add_generation_prompt)
        with self._tokenizer_lock:
            return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def count_tokens(self, prompt: Messages) -> int:
        """Exact number of tokens of a prompt, chat template included."""
        return len(self.encode(prompt))

    def generate(self, prompts: Sequence[Messages], config: GenerationConfig) -> list[Completion]:
        """One completion a prompt, in order; prompts of like length share a batch.

        Input tokens are counted without padding. Output tokens include the end token, if the model wrote one, and
        nothing after it.

        Raises:
            LanguageModelError: a prompt leaves no room for an answer, or the device has too little memory.
        """
        return self._generate(prompts, config, None)

    def stream(self, prompt: Messages, config: GenerationConfig) -> Generator[str, None, Completion]:
        """Pieces of one answer as they are generated; joined they equal `generate`'s text for a batch of one."""
        return self._stream(prompt, config, None)

    def likelihoods(self, prompts: Sequence[Messages], answers: Sequence[str]) -> list[Likelihood | None]:
        """Of each answer after its prompt; see `LikelihoodModel`."""
        return self._likelihoods(prompts, answers, None)

    def with_adapter(self, adapter_dir: str | Path, name: str) -> "AdaptedModel":
        """This model as tuning left it.

        LoRA adapters share the loaded weights, and the same files are attached once. Others change the weights, or
        cannot stand beside a LoRA; they get a copy of the model, with the adapter merged into it.

        Raises:
            LanguageModelError: the files are missing, damaged, pickled, of no known kind, or made for another base.
            MissingDependencyError: peft is not installed.
        """
        files = read_adapter(adapter_dir)
        check_fits_base(files, self.module, self.source, self.weights_sha256)
        if not files.fits_beside_others:
            return AdaptedModel(self._copy_tuned_by(files), files, None, name)
        with self._lock:
            key = self._attach(files)
            self._n_handles[key] += 1
            return AdaptedModel(self, files, key, name)

    def _copy_tuned_by(self, files: AdapterFiles) -> "HuggingFaceModel":
        """A model with weights of its own, merged in float32."""
        folder = files.folder if files.is_whole_model else self.folder
        try:
            with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
                warnings.simplefilter("ignore")  # as in `_attach`
                module = type(self.module).from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
                if not files.is_whole_model:
                    import peft

                    module = peft.PeftModel.from_pretrained(module, files.folder).merge_and_unload()
        except (ValueError, RuntimeError, KeyError, TypeError, OSError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise LanguageModelError(
                f"what tuning left in {files.folder} does not fit {self._name!r}: {reason}; train or copy it again"
            ) from error
        module.to(self.device, self.module.dtype)
        return HuggingFaceModel(module, self.tokenizer, folder=self.folder, name=self._name, source=self.source)

    def _attach(self, files: AdapterFiles) -> str:
        """Attach an adapter unless its files already are; its key in the peft model."""
        try:
            import peft
        except ImportError as error:
            raise MissingDependencyError("adapters need peft: pip install 'peft>=0.21,<0.22'") from error
        key = f"adapter_{files.sha256[:24]}"
        if self._peft is not None and key in self._peft.peft_config:
            return key
        with warnings.catch_warnings():
            # peft's warnings are about its own use of transformers, or about what is checked below.
            warnings.simplefilter("ignore")
            try:
                if self._peft is None:
                    config = peft.LoraConfig.from_pretrained(files.folder)
                    config.inference_mode = True
                    self._peft = peft.PeftModel(self.module, config, adapter_name=key)
                self._peft.load_adapter(
                    files.folder, adapter_name=key, torch_device=str(self.device), autocast_adapter_dtype=False
                )
            except (ValueError, RuntimeError, KeyError, TypeError) as error:
                self._detach(key)
                reason = str(error).strip().splitlines()[-1].strip()
                raise LanguageModelError(
                    f"the adapter {files.folder} cannot be attached to {self._name!r}: {reason}; train or copy it again"
                ) from error
            finally:
                self._turn_adapters_off()
        for name, weight in self.module.named_parameters():
            if f".{key}." in name:
                # Adapters are stored in float32; computing them so beside a bfloat16 base takes half as long again.
                weight.data = weight.data.to(self.module.dtype)
        names = [name.replace(f".{key}.", ".") for name, _ in self.module.named_parameters() if f".{key}." in name]
        lacking = [name for name in names if (".lora_A." in name or ".lora_B." in name) and name not in files.shapes]
        if lacking:
            self._detach(key)
            raise LanguageModelError(
                f"the adapter {files.folder} lacks {len(lacking)} of the tensors its config promises, {lacking[0]} "
                "first; train or copy it again"
            )
        return key

    def _detach(self, key: str) -> None:
        if self._peft is not None and key in self._peft.peft_config:
            self._peft.delete_adapter(key)

    def _release(self, key: str) -> None:
        """One handle of an adapter less; with the last one its weights leave the memory."""
        with self._lock:
            self._n_handles[key] -= 1
            if self._n_handles[key]:
                return
            self._turn_adapters_off()
            self._beginnings.forget(key)
            with warnings.catch_warnings():
                # peft warns that no adapter is left to be active, which is what is wanted.
                warnings.simplefilter("ignore")
                self._detach(key)

    def _turn_adapters_off(self) -> None:
        self.module.eval()
        if self._peft is not None:
            unfuse_lora(self.module)
            self._peft.base_model.disable_adapter_layers()
        self._active = None

    def _activate(self, key: str | None) -> None:
        """Switch the attached layers to one adapter, or off for the base model's own answers."""
        if key == self._active:
            return
        unfuse_lora(self.module)
        if key is None:
            self._peft.base_model.disable_adapter_layers()
        elif key not in self._peft.peft_config:
            raise LanguageModelError(f"an adapter of {self._name!r} was closed and answers no more; attach it again")
        else:
            self._peft.base_model.enable_adapter_layers()
            self._peft.set_adapter(key, inference_mode=True)
            fuse_lora(self.module)
        self._active = key

    def _generate(self, prompts: Sequence[Messages], config: GenerationConfig, adapter: str | None) -> list[Completion]:
        encoded = [self._encode_with_room(prompt, config, i, len(prompts)) for i, prompt in enumerate(prompts)]
        completions: dict[int, Completion] = {}
        if not encoded:
            return []
        with self._lock, self._seeded(config), torch.inference_mode():
            self._activate(adapter)
            started = time.perf_counter()
            with self._naming_memory(encoded):
                shared = self._beginnings.share(adapter, encoded)
            shared_s = (time.perf_counter() - started) / len(encoded)
            batches = plan_batches(
                [len(ids) for ids in encoded],
                max_output_tokens=config.max_output_tokens,
                batch_size=config.batch_size,
            )
            for batch in batches:
                answers = self._answer([encoded[i] for i in batch], [shared[i] for i in batch], config, shared_s)
                completions |= dict(zip(batch, answers, strict=True))
        return [completions[i] for i in range(len(prompts))]

    def _likelihoods(
        self, prompts: Sequence[Messages], answers: Sequence[str], adapter: str | None
    ) -> list[Likelihood | None]:
        with self._lock, torch.inference_mode():
            self._activate(adapter)
            return [self._likelihood(self.encode(p), a) for p, a in zip(prompts, answers, strict=True)]

    def _likelihood(self, prompt: list[int], answer: str) -> Likelihood | None:
        with self._tokenizer_lock:
            tokens = list(self.tokenizer(answer, add_special_tokens=False, verbose=False)["input_ids"])
        if not tokens or len(prompt) + len(tokens) > self._context_tokens:
            return None
        ids = torch.tensor([prompt + tokens], device=self.device)
        logits = self._forward.last_logits(ids, len(tokens) + 1)[:-1].float()  # (n_tokens, vocabulary)
        chosen = torch.log_softmax(logits, dim=-1).gather(1, ids[0, -len(tokens) :, None])
        return Likelihood(chosen.sum().item(), len(tokens))

    def _encode_with_room(self, prompt: Messages, config: GenerationConfig, i: int, n_prompts: int) -> list[int]:
        ids = self.encode(prompt)
        if len(ids) + config.max_output_tokens > self._context_tokens:
            which = f"prompt {i + 1} of {n_prompts}" if n_prompts > 1 else "the prompt"
            raise LanguageModelError(
                f"{which} has {len(ids)} tokens and leaves no room for {config.max_output_tokens} output tokens in the "
                f"context of {self._context_tokens} tokens of {self._name!r}; shorten it, or lower max_output_tokens"
            )
        return ids

    def _answer(
        self,
        prompts: list[list[int]],
        shared: list[Shared],
        config: GenerationConfig,
        shared_s: float,
        on_token: Callable[[int], None] | None = None,
    ) -> list[Completion]:
        """One batch; the lock is held, the adapter chosen, and gradients are off.

        Args:
            shared_s: Seconds that reading what is shared took for each prompt.
        """
        started = time.perf_counter()
        stop = self._stop_texts(config)
        forms = self._forms(config.constraint, len(prompts))
        with self._naming_memory(prompts):
            outputs = decode(
                self._forward,
                [Unread(one.path, ids[one.n_tokens :]) for ids, one in zip(prompts, shared, strict=True)],
                self._rules(config, stop),
                forms=forms,
                on_token=on_token,
            )
        latency_s = (time.perf_counter() - started) / len(prompts) + shared_s
        return [
            self._complete(ids, output, stop, latency_s, one.n_cached)
            for ids, output, one in zip(prompts, outputs, shared, strict=True)
        ]

    @contextlib.contextmanager
    def _naming_memory(self, prompts: Sequence[Sequence[int]]) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError as error:
            width = max(map(len, prompts))
            raise LanguageModelError(
                f"{self._name!r} ran out of memory on {self.device} with {len(prompts)} prompts of up to {width} "
                "tokens; lower batch_size or shorten the prompts"
            ) from error

    def _stop_texts(self, config: GenerationConfig) -> tuple[str, ...]:
        return tuple(mark for mark in (*config.stop, *self._template.stop) if mark)

    def _rules(self, config: GenerationConfig, stop: Sequence[str]) -> DecodingRules:
        # A token spells at least one byte, so a stop text just completed lies within this many tokens of the end.
        window = 4 + max((len(mark.encode()) for mark in stop), default=0)

        def is_ended(output: list[int]) -> bool:
            return bool(stop) and cut_at_stop(self._decode(output[-window:]), stop)[1]

        return DecodingRules(config.max_output_tokens, config.temperature, self._end_ids, is_ended)

    def _forms(self, constraint: Constraint | None, n_rows: int) -> list[Form]:
        """What each row of a batch is held to; nothing where nothing constrains."""
        if constraint is None:
            return []
        if constraint not in self._grammars:
            from lm.local.answer_grammar import AnswerGrammar, grammar_tokens

            if self._grammar_tokens is None:
                n_logits = self.module.get_output_embeddings().weight.shape[0]
                self._grammar_tokens = grammar_tokens(self.tokenizer, n_logits, self._end_ids, self._name)
            self._grammars[constraint] = AnswerGrammar(self._grammar_tokens, constraint, self._template.answer_lead)
        return [self._grammars[constraint].start() for _ in range(n_rows)]

    def _complete(
        self, prompt: list[int], output: list[int], stop: Sequence[str], latency_s: float, n_cached: int
    ) -> Completion:
        end = next((i for i, token in enumerate(output) if token in self._end_ids), None)
        n_output_tokens = len(output) if end is None else end + 1
        text, stopped = cut_at_stop(self._decode(output[:end]), stop)
        reason = FinishReason.LENGTH if end is None and not stopped else FinishReason.STOP
        return Completion(text.strip(), Usage(len(prompt), n_output_tokens, 0, latency_s, n_cached), reason)

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    @contextlib.contextmanager
    def _seeded(self, config: GenerationConfig) -> Iterator[None]:
        """Sampling draws from the seed alone, and leaves the process's random state as it was."""
        if config.temperature <= 0:
            yield
            return
        devices = [self.device.index or 0] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(config.seed)
            yield

    def _stream(
        self, prompt: Messages, config: GenerationConfig, adapter: str | None
    ) -> Generator[str, None, Completion]:
        return self._pieces(self._encode_with_room(prompt, config, 0, 1), config, adapter)

    def _pieces(
        self, ids: list[int], config: GenerationConfig, adapter: str | None
    ) -> Generator[str, None, Completion]:
        stop = self._stop_texts(config)
        tokens = _TokenQueue()
        completions: list[Completion] = []

        def work() -> None:
            try:
                with self._lock, self._seeded(config), torch.inference_mode():
                    self._activate(adapter)
                    started = time.perf_counter()
                    shared = self._beginnings.share(adapter, [ids])
                    shared_s = time.perf_counter() - started
                    completions.extend(self._answer([ids], shared, config, shared_s, tokens.put))
            except _AbandonedError:
                pass
            except BaseException as error:
                tokens.fail(error)
            finally:
                tokens.end()

        thread = threading.Thread(target=work, name="stream", daemon=True)
        thread.start()
        output: list[int] = []
        sent = 0
        try:
            for token in tokens:
                if token in self._end_ids:
                    continue
                output.append(token)
                text = certain_part(self._decode(output), stop)
                if len(text) > sent:
                    yield text[sent:]
                    sent = len(text)
            (completion,) = completions
            if len(completion.text) > sent:
                yield completion.text[sent:]
            return completion
        finally:
            tokens.abandon()
            thread.join()


class AdaptedModel:
    """A base model with one adapter; the base is shared and stays as it is, unless tuning left weights of their own.

    Attributes:
        base: The model it belongs to, or its copy with these weights.
        adapter_dir: The adapter's folder.
    """

    def __init__(self, base: HuggingFaceModel, files: AdapterFiles, key: str | None, name: str) -> None:
        self.base = base
        self.adapter_dir = files.folder
        self._files = files
        self._key = key
        self._name = name
        self._closed = False

    @property
    def name(self) -> str:
        """The given name."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Hash of the base's fingerprint and the adapter's files."""
        return _hash(self.base.fingerprint, self._files.sha256)

    @property
    def context_tokens(self) -> int:
        """The base's context."""
        return self.base.context_tokens

    def count_tokens(self, prompt: Messages) -> int:
        """Exact number of tokens, as for the base."""
        return self.base.count_tokens(prompt)

    def generate(self, prompts: Sequence[Messages], config: GenerationConfig) -> list[Completion]:
        """One completion a prompt, in order, with the adapter active; see `HuggingFaceModel.generate`."""
        return self._open._generate(prompts, config, self._key)

    def likelihoods(self, prompts: Sequence[Messages], answers: Sequence[str]) -> list[Likelihood | None]:
        """Of each answer after its prompt, with the adapter active; see `LikelihoodModel`."""
        return self._open._likelihoods(prompts, answers, self._key)

    def stream(self, prompt: Messages, config: GenerationConfig) -> Generator[str, None, Completion]:
        """Pieces of one answer with the adapter active; see `HuggingFaceModel.stream`."""
        return self._open._stream(prompt, config, self._key)

    def close(self) -> None:
        """Give the adapter's memory back, unless the same files are attached for somebody else. It answers no more."""
        if not self._closed:
            self._closed = True
            if self._key is not None:
                self.base._release(self._key)
            else:
                self.base.module.to("meta")

    @property
    def _open(self) -> HuggingFaceModel:
        if self._closed and self._key is None:
            raise LanguageModelError(f"{self._name!r} was closed and answers no more; load it again")
        return self.base


class _AbandonedError(Exception):
    """The reader of a stream went away."""


class _TokenQueue:
    """Carries tokens from the generating thread to the reader."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()
        self._abandoned = threading.Event()

    def put(self, token: int) -> None:
        if self._abandoned.is_set():
            raise _AbandonedError
        self._queue.put(token)

    def end(self) -> None:
        self._queue.put(None)

    def fail(self, error: BaseException) -> None:
        self._queue.put(error)

    def abandon(self) -> None:
        self._abandoned.set()

    def __iter__(self) -> Iterator[int]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item


def _end_ids(module: Any, tokenizer: Any) -> frozenset[int]:
    found: set[int] = set()
    for value in (module.generation_config.eos_token_id, module.config.eos_token_id, tokenizer.eos_token_id):
        if value is not None:
            found.update([value] if isinstance(value, int) else value)
    return frozenset(found)


def _context_tokens(config: Any, tokenizer: Any) -> int:
    text_config = config.get_text_config()
    found = [getattr(text_config, name) for name in _CONTEXT_NAMES if isinstance(getattr(text_config, name, None), int)]
    by_model = found[0] if found else _DEFAULT_CONTEXT_TOKENS
    by_tokenizer = tokenizer.model_max_length
    return min(by_model, by_tokenizer) if 0 < by_tokenizer < _LARGEST_SANE_CONTEXT else by_model


def _hash(*parts: object) -> str:
    return sha256(json.dumps(parts))
