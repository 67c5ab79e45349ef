"""Local models through Hugging Face transformers: one path for every family, LoRA adapters on one shared base."""

import contextlib
import hashlib
import json
import queue
import threading
import time
import warnings
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.generation.stopping_criteria import StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from lm.adapter import AdapterFiles, check_fits_base, read_adapter
from lm.answer_text import certain_part, cut_at_stop
from lm.chat_template import ChatTemplate
from lm.completion import Completion, FinishReason, GenerationConfig, Messages, Usage
from lm.dtype import choose_dtype
from lm.errors import ConfigError, LanguageModelError, MissingDependencyError
from lm.model_files import count_parameters, find_weight_files, hash_files, locate_model

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
        dtype: `float32`, `bfloat16` or `float16`; chosen by `lm.dtype` if not given.
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
        # Whatever a damaged or unknown model makes the library raise, it is the model the user has to mend.
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
            tokenizer_files = [self.folder / name for name in _TOKENIZER_FILES if (self.folder / name).is_file()]
            self._fingerprint = _hash(
                self.weights_sha256,
                hash_files([self.folder / "config.json"]),
                hash_files(tokenizer_files),
                self._template.source,
                sorted(self._end_ids),
                self.dtype_name,
                self.device.type,
                transformers.__version__,
            )
        return self._fingerprint

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

    def with_adapter(self, adapter_dir: str | Path, name: str) -> "AdaptedModel":
        """This model with a LoRA adapter, sharing the loaded weights. The same files are attached once.

        Raises:
            LanguageModelError: the adapter is missing, damaged, pickled, no LoRA, or trained for another base.
            MissingDependencyError: peft is not installed.
        """
        files = read_adapter(adapter_dir)
        check_fits_base(files, self.module, self.source, self.weights_sha256)
        with self._lock:
            key = self._attach(files)
            self._n_handles[key] += 1
            return AdaptedModel(self, files, key, name)

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
                self._peft.load_adapter(files.folder, adapter_name=key, torch_device=str(self.device))
            except (ValueError, RuntimeError, KeyError, TypeError) as error:
                self._detach(key)
                reason = str(error).strip().splitlines()[-1].strip()
                raise LanguageModelError(
                    f"the adapter {files.folder} cannot be attached to {self._name!r}: {reason}; train or copy it again"
                ) from error
            finally:
                self._turn_adapters_off()
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
            with warnings.catch_warnings():
                # peft warns that no adapter is left to be active, which is what is wanted.
                warnings.simplefilter("ignore")
                self._detach(key)

    def _turn_adapters_off(self) -> None:
        self.module.eval()
        if self._peft is not None:
            self._peft.base_model.disable_adapter_layers()
        self._active = None

    def _activate(self, key: str | None) -> None:
        """Switch the attached layers to one adapter, or off for the base model's own answers."""
        if key == self._active:
            return
        if key is None:
            self._peft.base_model.disable_adapter_layers()
        elif key not in self._peft.peft_config:
            raise LanguageModelError(f"an adapter of {self._name!r} was closed and answers no more; attach it again")
        else:
            self._peft.base_model.enable_adapter_layers()
            self._peft.set_adapter(key, inference_mode=True)
        self._active = key

    def _generate(self, prompts: Sequence[Messages], config: GenerationConfig, adapter: str | None) -> list[Completion]:
        encoded = [self._encode_with_room(prompt, config, i, len(prompts)) for i, prompt in enumerate(prompts)]
        # Longest first: what does not fit into memory fails at once rather than after most of the work.
        order = sorted(range(len(prompts)), key=lambda i: -len(encoded[i]))
        completions: dict[int, Completion] = {}
        with self._lock, self._seeded(config):
            self._activate(adapter)
            for start in range(0, len(order), config.batch_size):
                batch = order[start : start + config.batch_size]
                for i, completion in zip(batch, self._answer([encoded[i] for i in batch], config), strict=True):
                    completions[i] = completion
        return [completions[i] for i in range(len(prompts))]

    def _encode_with_room(self, prompt: Messages, config: GenerationConfig, i: int, n_prompts: int) -> list[int]:
        ids = self.encode(prompt)
        if len(ids) + config.max_output_tokens > self._context_tokens:
            which = f"prompt {i + 1} of {n_prompts}" if n_prompts > 1 else "the prompt"
            raise LanguageModelError(
                f"{which} has {len(ids)} tokens and leaves no room for {config.max_output_tokens} output tokens in the "
                f"context of {self._context_tokens} tokens of {self._name!r}; shorten it, or lower max_output_tokens"
            )
        return ids

    def _answer(self, prompts: list[list[int]], config: GenerationConfig) -> list[Completion]:
        """One batch; the lock is held and the adapter chosen."""
        started = time.perf_counter()
        width = max(len(ids) for ids in prompts)
        stop = (*config.stop, *self._template.stop)
        ends = _StopTexts(self.tokenizer, stop, width, len(prompts))
        output = self._run(prompts, config, ends)[:, width:].tolist()  # (batch, <= max_output_tokens)
        latency_s = (time.perf_counter() - started) / len(prompts)
        return [
            self._complete(ids, row[: ends.lengths.get(i)], stop, latency_s)
            for i, (ids, row) in enumerate(zip(prompts, output, strict=True))
        ]

    def _complete(self, prompt: list[int], output: list[int], stop: Sequence[str], latency_s: float) -> Completion:
        end = next((i for i, token in enumerate(output) if token in self._end_ids), None)
        n_output_tokens = len(output) if end is None else end + 1
        text, stopped = cut_at_stop(self._decode(output[:end]), stop)
        reason = FinishReason.LENGTH if end is None and not stopped else FinishReason.STOP
        return Completion(text.strip(), Usage(len(prompt), n_output_tokens, 0, latency_s), reason)

    def _decode(self, ids: Sequence[int]) -> str:
        return _decode(self.tokenizer, ids)

    def _run(
        self,
        prompts: list[list[int]],
        config: GenerationConfig,
        ends: "_StopTexts",
        streamer: BaseStreamer | None = None,
    ) -> torch.Tensor:
        """Padded prompts with their answers, (batch, width + output)."""
        width = max(len(ids) for ids in prompts)
        padded = [[self._pad_id] * (width - len(ids)) + ids for ids in prompts]
        mask = [[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts]
        decoding: dict[str, Any] = {"do_sample": False}
        if config.temperature > 0:
            decoding = {"do_sample": True, "temperature": config.temperature, "top_k": 0, "top_p": 1.0}
        settings = transformers.GenerationConfig(
            max_new_tokens=config.max_output_tokens,
            eos_token_id=sorted(self._end_ids) or None,
            pad_token_id=self._pad_id,
            **decoding,
        )
        criteria = [ends] if ends.stop else []
        try:
            with torch.inference_mode():
                output: torch.Tensor = self.module.generate(
                    input_ids=torch.tensor(padded, device=self.device),  # (batch, width)
                    attention_mask=torch.tensor(mask, device=self.device),  # (batch, width)
                    generation_config=settings,
                    stopping_criteria=StoppingCriteriaList(criteria),
                    streamer=streamer,
                )
        except torch.OutOfMemoryError as error:
            raise LanguageModelError(
                f"{self._name!r} ran out of memory on {self.device} with {len(prompts)} prompts of up to {width} "
                "tokens; lower batch_size or shorten the prompts"
            ) from error
        return output

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
        started = time.perf_counter()
        stop = (*config.stop, *self._template.stop)
        tokens = _TokenQueue()
        ends = _StopTexts(self.tokenizer, stop, len(ids), 1)

        def work() -> None:
            try:
                with self._lock, self._seeded(config):
                    self._activate(adapter)
                    self._run([ids], config, ends, tokens)
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
                output.append(token)
                if token in self._end_ids:
                    break
                text = certain_part(self._decode(output), stop)
                if len(text) > sent:
                    yield text[sent:]
                    sent = len(text)
            completion = self._complete(ids, output, stop, time.perf_counter() - started)
            if len(completion.text) > sent:
                yield completion.text[sent:]
            return completion
        finally:
            tokens.abandon()
            thread.join()


class AdaptedModel:
    """A base model with one LoRA adapter; the base is shared and stays as it is.

    Attributes:
        base: The model it belongs to.
        adapter_dir: The adapter's folder.
    """

    def __init__(self, base: HuggingFaceModel, files: AdapterFiles, key: str, name: str) -> None:
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
        return self.base._generate(prompts, config, self._key)

    def stream(self, prompt: Messages, config: GenerationConfig) -> Generator[str, None, Completion]:
        """Pieces of one answer with the adapter active; see `HuggingFaceModel.stream`."""
        return self.base._stream(prompt, config, self._key)

    def close(self) -> None:
        """Give the adapter's memory back, unless the same files are attached for somebody else. It answers no more."""
        if not self._closed:
            self._closed = True
            self.base._release(self._key)


class _StopTexts(StoppingCriteria):  # type: ignore[misc]
    """Ends each row of a batch at its first stop text.

    Attributes:
        lengths: Output tokens of each row that a stop text ended.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str], prompt_width: int, n_rows: int) -> None:
        self.stop = tuple(mark for mark in stop if mark)
        self.lengths: dict[int, int] = {}
        self._tokenizer = tokenizer
        self._prompt_width = prompt_width
        self._n_rows = n_rows
        # A token spells at least one byte, so a stop text just completed lies within this many tokens of the end.
        self._window = 4 + max((len(mark.encode()) for mark in self.stop), default=0)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        output = input_ids[:, self._prompt_width :]  # (batch, output)
        tails = output[:, -self._window :].tolist()
        for i in range(self._n_rows):
            if i not in self.lengths and cut_at_stop(_decode(self._tokenizer, tails[i]), self.stop)[1]:
                self.lengths[i] = output.shape[1]
        return torch.tensor([i in self.lengths for i in range(self._n_rows)], device=input_ids.device)


class _AbandonedError(Exception):
    """The reader of a stream went away."""


class _TokenQueue(BaseStreamer):  # type: ignore[misc]
    """Carries tokens from the generating thread to the reader.

    transformers' `TextIteratorStreamer` carries text and forgets earlier tokens at each line end, so its pieces need
    not add up to the decoded whole, and an exception in its thread leaves the reader waiting.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()
        self._abandoned = threading.Event()
        self._prompt_seen = False

    def put(self, value: torch.Tensor) -> None:
        if self._abandoned.is_set():
            raise _AbandonedError
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        for token in value.flatten().tolist():
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


def _decode(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


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
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
