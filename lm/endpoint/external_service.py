"""A whole application behind an OpenAI-compatible address: it is asked a question and told nothing else."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from lm.completion import Completion, FinishReason, GenerationConfig, Messages, Source, Usage
from lm.endpoint.openai_compatible import ContentFilterError, OpenAICompatibleModel, UnavailableError
from lm.errors import LanguageModelError
from lm.files import sha256

_PLACES = (("tuning_fork", "sources"), ("citations",), ("context",), ("sources",))
"""Where services put what they answered from: in the reply, its message, or the message's `context`."""
_NAMES = {
    "id": ("document_id", "doc_id", "source_id", "filepath", "url", "source", "id"),
    "title": ("title", "name"),
    "text": ("text", "content", "chunk", "snippet", "page_content", "quote"),
    "score": ("score", "relevance_score"),
}


class ExternalService:
    """Asks a service as its users do: one question a request, no instruction, none of our decoding.

    Rate limits, timeouts and server errors are tried again as with any endpoint. What still fails is an answer that
    never came (`FinishReason.FAILED`). A service that cannot be reached at all, or refuses the key, ends the run.
    """

    def __init__(
        self,
        url: str,
        model: str = "",
        *,
        find_document: Callable[[Source], str] = lambda source: source.id,
        max_retries: int = 4,
        timeout_s: float = 300.0,
    ) -> None:
        """Prepare the client; nothing is sent yet.

        Args:
            url: Up to and including `/v1`.
            model: What is sent as `model`; most applications do not read it.
            find_document: The id by which we know the document of a source.

        Raises:
            ConfigError: the URL is no plain http(s) URL.
        """
        self._endpoint = OpenAICompatibleModel(
            model or "default", base_url=url, max_retries=max_retries, timeout_s=timeout_s
        )
        self._find_document = find_document
        self._url = url
        self._model = model

    @property
    def name(self) -> str:
        """Its address, with the model that is named."""
        return f"external:{self._url}" + (f"@{self._model}" if self._model else "")

    @property
    def fingerprint(self) -> str:
        """Hash of address and model; what stands behind them may change unseen."""
        return sha256(self.name)

    @property
    def context_tokens(self) -> int:
        """Not known; the service cuts or refuses by itself."""
        return 1_000_000_000

    def count_tokens(self, prompt: Messages) -> int:
        """None that we know of."""
        return 0

    def generate(self, prompts: Sequence[Messages], config: GenerationConfig) -> list[Completion]:
        """One answer a question, in order; up to `batch_size` requests at a time.

        Raises:
            LanguageModelError: the service cannot be reached, or refuses for another reason than being busy.
        """
        if len(prompts) < 2:
            return [self._ask(prompt) for prompt in prompts]
        started = time.perf_counter()
        with ThreadPoolExecutor(
            max_workers=min(config.batch_size, len(prompts)), thread_name_prefix="external"
        ) as pool:
            futures = [pool.submit(self._ask, prompt) for prompt in prompts]
            try:
                completions = [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        latency_s = (time.perf_counter() - started) / len(prompts)
        return [replace(one, usage=replace(one.usage, latency_s=latency_s)) for one in completions]

    def stream(self, prompt: Messages, config: GenerationConfig) -> Generator[str, None, Completion]:
        """The answer in one piece."""
        completion = self._ask(prompt)
        if completion.finish_reason is FinishReason.FAILED:
            raise LanguageModelError(f"{self._url} gave no answer; ask again later")
        yield completion.text
        return completion

    def _ask(self, prompt: Messages) -> Completion:
        started = time.perf_counter()
        try:
            reply = self._endpoint.reply(prompt)
        except UnavailableError:
            return Completion("", Usage(), FinishReason.FAILED, tokens_known=False)
        except ContentFilterError:
            return Completion("", Usage(), FinishReason.CONTENT_FILTER, tokens_known=False)
        latency_s = time.perf_counter() - started
        sources = [replace(source, id=self._find_document(source)) for source in read_sources(reply.raw)]
        usage = replace(reply.usage, latency_s=latency_s) if reply.usage is not None else Usage(latency_s=latency_s)
        return Completion(
            reply.text, usage, reply.finish_reason, sources=tuple(sources), tokens_known=reply.usage is not None
        )


def read_sources(reply: Mapping[str, Any]) -> list[Source]:
    """What a reply says it was made from, in its order; the first place that holds any counts."""
    choices = reply.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    context = message.get("context") if isinstance(message, dict) else None
    for holder in (reply, message, context):
        for place in _PLACES:
            found: Any = holder
            for step in place:
                found = found.get(step) if isinstance(found, dict) else None
            rows = found if isinstance(found, list) else [found] if isinstance(found, str) and found else []
            if sources := [source for row in rows if (source := _source(row)) is not None]:
                return sources
    return []


def _source(row: Any) -> Source | None:
    """One source; a bare text is an address or a name where it is short, and otherwise the passage itself."""
    if isinstance(row, str):
        return Source(text=row) if any(mark in row for mark in " \n") else Source(id=row)
    if not isinstance(row, dict):
        return None
    texts = {name: _first(row, keys, str) for name, keys in _NAMES.items() if name != "score"}
    score = _first(row, _NAMES["score"], float)
    if not any(texts.values()):
        return None
    return Source(texts["id"] or "", texts["title"] or "", texts["text"] or "", score)


def _first(row: Mapping[str, Any], keys: Sequence[str], kind: type) -> Any:
    for key in keys:
        value = row.get(key)
        if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if kind is str and isinstance(value, str | int) and value != "":
            return str(value)
    return None
