"""Remote models behind an OpenAI-compatible endpoint: OpenAI, Azure OpenAI, vLLM, Ollama, llama.cpp's server."""

import json
import logging
import os
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai

from lm.answer_text import after_reasoning, certain_part, cut_at_stop
from lm.completion import Completion, FinishReason, GenerationConfig, Likelihood, Messages, Usage, chat_rows
from lm.constraint import Constraint
from lm.endpoint.connection import connection_to
from lm.endpoint.endpoint_key import OPENAI_BASE_URL, endpoint_key, how_to_give_key, is_azure, is_openai
from lm.endpoint.response_format import WRAPPER_TOKENS, is_wrapped, response_format, unwrapped
from lm.endpoint.told_likelihoods import told_likelihoods
from lm.errors import ConfigError, LanguageModelError
from lm.files import sha256

_OPENAI_CONTEXT_TOKENS = 128_000
_UNKNOWN_CONTEXT_TOKENS = 8_192
_AZURE_API_VERSION = "2024-10-21"
_MAX_STOP_TEXTS = 4
_TOKENS_PER_MESSAGE = 8
_BYTES_PER_TOKEN = 2
_CHARACTERS_PER_TOKEN = 32
"""Single tokens have more, answers as a whole some 4."""

_OVERFLOW_WORDS = ("context length", "context_length", "context size", "context window", "maximum context")
_FILTER_CODES = ("content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation")
_STRICT = "strict of response_format"
_FINISH_REASONS = {"length": FinishReason.LENGTH, "content_filter": FinishReason.CONTENT_FILTER}
"""A provider may add what the filter found after a colon."""

_log = logging.getLogger(__name__)


class ContentFilterError(LanguageModelError):
    """The endpoint refused a prompt for what it says; others it answers."""


class UnavailableError(LanguageModelError):
    """The endpoint is busy, late or broken, after every try again."""


@dataclass(frozen=True)
class Reply:
    """An endpoint's whole reply to a prompt.

    Attributes:
        usage: None where it tells none. raw: The reply as JSON has it.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage | None
    raw: Mapping[str, Any]


def openai_client(
    base_url: str, key: str | None, *, max_retries: int, timeout_s: float, http_client: httpx2.Client | None = None
) -> openai.OpenAI:
    """The library's client for an address: Azure's own where the address is a resource of Azure OpenAI."""
    options: dict[str, Any] = {
        "max_retries": max_retries,
        "timeout": timeout_s,
        "http_client": connection_to(base_url, key=key, client=http_client),
    }
    if is_azure(base_url) and not urlsplit(base_url).path.rstrip("/").endswith("/openai/v1"):
        version = os.environ.get("OPENAI_API_VERSION") or _AZURE_API_VERSION
        return openai.AzureOpenAI(azure_endpoint=base_url, api_key=key, api_version=version, **options)
    return openai.OpenAI(base_url=base_url, api_key=key or "none", **options)


class OpenAICompatibleModel:
    """A chat model asked over HTTP.

    Keys come from the environment alone and go where `lm.endpoint.endpoint_key` lets them. Local servers need none.

    Rate limits, timeouts, lost connections and server errors are tried again with growing pauses, `max_retries` times.
    Endpoints differ in the settings they take: one that is refused by name (`max_tokens`, `temperature`, `seed` or
    `stop`, mostly by reasoning models) is renamed or left out from then on, with a warning in the log. A constraint is
    asked for by `response_format`; where that is refused, first without `strict`, answers are given without it and
    each says so (`Completion.constraint_refused`).

    Usage is what the reply says. A server that says nothing is counted by `count_tokens`, which over-estimates.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        context_tokens: int | None = None,
        max_retries: int = 4,
        timeout_s: float = 300.0,
        http_client: httpx2.Client | None = None,
    ) -> None:
        """Prepare the client; nothing is sent yet.

        Args:
            model: The endpoint's name of the model; on Azure the deployment.
            base_url: Up to and including `/v1`; OPENAI_BASE_URL or OpenAI's own if not given. On Azure the resource.
            context_tokens: Longest prompt and answer together; servers do not tell. 128,000 at OpenAI and Azure and
                8,192 elsewhere if not given.
            http_client: Another transport, for proxies and tests.

        Raises:
            ConfigError: the URL is no plain http(s) URL.
            LanguageModelError: OpenAI or Azure is asked without a key.
        """
        self._model = model
        self._base_url = _checked_url(base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_BASE_URL)
        self._is_azure = is_azure(self._base_url)
        is_hosted = self._is_azure or is_openai(self._base_url)
        self._context_tokens = context_tokens or (_OPENAI_CONTEXT_TOKENS if is_hosted else _UNKNOWN_CONTEXT_TOKENS)
        key = endpoint_key(self._base_url)
        if is_hosted and not key:
            raise LanguageModelError(f"{self._base_url} needs a key; {how_to_give_key(self._base_url)}")
        self._client = openai_client(
            self._base_url, key, max_retries=max_retries, timeout_s=timeout_s, http_client=http_client
        )
        self._refused: set[str] = set()

    @property
    def name(self) -> str:
        """`openai:MODEL`, with the endpoint unless it is OpenAI's."""
        return f"openai:{self._model}" + ("" if self._base_url == OPENAI_BASE_URL else f"@{self._base_url}")

    @property
    def fingerprint(self) -> str:
        """Hash of endpoint and model name; what stands behind the name the endpoint may change unseen."""
        return sha256(f"openai:{self._base_url}:{self._model}")

    @property
    def context_tokens(self) -> int:
        """As given, or the default for the endpoint."""
        return self._context_tokens

    def count_tokens(self, prompt: Messages) -> int:
        """An over-estimate: a token for every two bytes (English has four, Chinese three), and eight a message."""
        return sum(_estimate_tokens(message.content) + _TOKENS_PER_MESSAGE for message in prompt)

    def generate(self, prompts: Sequence[Messages], config: GenerationConfig) -> list[Completion]:
        """One completion a prompt, in order; up to `batch_size` requests at a time.

        Raises:
            LanguageModelError: the endpoint cannot be reached, or refuses; the message says what to do.
        """
        if not prompts:
            return []
        started = time.perf_counter()
        with ThreadPoolExecutor(max_workers=min(config.batch_size, len(prompts)), thread_name_prefix="openai") as pool:
            futures = [pool.submit(self._complete, prompt, config) for prompt in prompts]
            try:
                completions = [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        latency_s = (time.perf_counter() - started) / len(prompts)
        return [replace(completion, usage=replace(completion.usage, latency_s=latency_s)) for completion in completions]

    def likelihoods(self, prompts: Sequence[Messages], answers: Sequence[str]) -> list[Likelihood | None]:
        """Of each answer after its prompt; None where the endpoint does not tell. What it reads is in no usage.

        Raises:
            LanguageModelError: the endpoint cannot be reached.
        """
        try:
            return told_likelihoods(self._client, self._model, prompts, answers)
        except (openai.OpenAIError, httpx2.HTTPError, json.JSONDecodeError) as error:
            raise self._explained(error) from error

    def stream(self, prompt: Messages, config: GenerationConfig) -> Generator[str, None, Completion]:
        """Pieces of one answer as the endpoint sends them.

        Usage is what the endpoint says at the end, if it does without being asked; else counted by `count_tokens`.
        """
        started = time.perf_counter()
        text, sent, ended, told, is_completion = "", 0, "", None, False
        most = _most_characters(config)
        chunks, held = self._request(prompt, config, stream=True)
        # What has to be unwrapped can only be told as a whole.
        streams = held is None or not is_wrapped(held)
        try:
            for chunk in chunks:
                told = chunk.usage or told
                if chunk.choices:
                    is_completion = True
                    ended = chunk.choices[0].finish_reason or ended
                if chunk.choices and (piece := _said(chunk.choices[0].delta)):
                    text += piece
                    certain = certain_part(after_reasoning(text[:most]), config.stop)
                    if streams and len(certain) > sent:
                        yield certain[sent:]
                        sent = len(certain)
                    if len(text) > most:
                        # It does not keep to what it was asked for, and may go on for ever.
                        break
        except (openai.OpenAIError, httpx2.HTTPError, json.JSONDecodeError) as error:
            raise self._explained(error) from error
        finally:
            chunks.close()
        if not is_completion:
            raise self._no_completion()
        completion = self._completion(prompt, config, held, text, ended, told)
        if len(completion.text) > sent:
            yield completion.text[sent:]
        return replace(completion, usage=replace(completion.usage, latency_s=time.perf_counter() - started))

    def reply(self, prompt: Messages) -> Reply:
        """The reply to messages that are sent with no setting at all.

        Raises:
            UnavailableError: it is busy, late or broken, after every try again. ContentFilterError: its filter refuses.
            LanguageModelError: it cannot be reached, or refuses.
        """
        messages: list[Any] = chat_rows(prompt)
        try:
            reply = self._client.chat.completions.create(model=self._model, messages=messages)
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            raise self._refusal(error) from error
        except (openai.OpenAIError, httpx2.HTTPError, json.JSONDecodeError) as error:
            raise self._explained(error) from error
        if not getattr(reply, "choices", None):
            raise self._no_completion()
        content = _said(getattr(reply.choices[0], "message", None))
        ended = _finish_reason(reply.choices[0].finish_reason)
        usage = self._usage(prompt, content, reply.usage) if reply.usage is not None else None
        return Reply(after_reasoning(content).strip(), ended, usage, reply.model_dump())

    def _no_completion(self) -> LanguageModelError:
        return LanguageModelError(
            f"{self._base_url} responded, but not with a chat completion; the base URL usually ends in /v1"
        )

    def _usage(self, prompt: Messages, text: str, told: Any) -> Usage:
        """As the endpoint tells it; where it does not, over-estimated."""
        if told is None:
            return Usage(self.count_tokens(prompt), _estimate_tokens(text))
        details = getattr(told, "prompt_tokens_details", None)
        cached = getattr(details, "cached_tokens", None) or 0
        return Usage(told.prompt_tokens, told.completion_tokens, cached_tokens=min(cached, told.prompt_tokens))

    def _complete(self, prompt: Messages, config: GenerationConfig) -> Completion:
        try:
            reply, held = self._request(prompt, config, stream=False)
        except ContentFilterError:
            # As where the endpoint says so in a reply: this question is unscored, and the others go on.
            return Completion("", Usage(self.count_tokens(prompt)), FinishReason.CONTENT_FILTER)
        if not getattr(reply, "choices", None):
            raise self._no_completion()
        choice = reply.choices[0]
        content = _said(getattr(choice, "message", None))
        return self._completion(prompt, config, held, content, choice.finish_reason or "", reply.usage)

    def _completion(
        self, prompt: Messages, config: GenerationConfig, held: Constraint | None, content: str, ended: str, told: Any
    ) -> Completion:
        """The answer in what the endpoint wrote.

        Args:
            held: The constraint that was sent. ended: the reply's finish reason. told: its usage, if it has one.
        """
        if len(content) > (most := _most_characters(config)):
            content, ended = content[:most], FinishReason.LENGTH
        text = after_reasoning(content)
        text = unwrapped(held, text) if held is not None else text
        text, stopped = cut_at_stop(text, config.stop)
        return Completion(
            text.strip(),
            self._usage(prompt, content, told),
            FinishReason.STOP if stopped else _finish_reason(ended),
            constraint_refused=config.constraint is not None and held is None,
        )

    def _request(self, prompt: Messages, config: GenerationConfig, *, stream: bool) -> tuple[Any, Constraint | None]:
        """The reply, and the constraint it was asked to keep."""
        messages: list[Any] = chat_rows(prompt)
        while True:
            settings = self._settings(config)
            try:
                reply = self._client.chat.completions.create(
                    model=self._model, messages=messages, stream=stream, **settings
                )
                return reply, config.constraint if "response_format" in settings else None
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                is_final = _is_filtered(error) or _is_overflow(error)
                refused = None if is_final else _refused_setting(error, settings)
                if refused is None:
                    raise self._refusal(error) from error
                self._refused.add(refused)
                _log.warning("%s does not take the setting %s; it is no longer sent so", self.name, refused)
            except (openai.OpenAIError, httpx2.HTTPError, json.JSONDecodeError) as error:
                raise self._explained(error) from error

    def _settings(self, config: GenerationConfig) -> dict[str, Any]:
        settings: dict[str, Any] = {"max_tokens": config.max_output_tokens, "temperature": config.temperature}
        if config.temperature > 0:
            settings["seed"] = config.seed
        if stop := [mark for mark in config.stop if mark][:_MAX_STOP_TEXTS]:
            settings["stop"] = stop
        if config.constraint is not None and "response_format" not in self._refused:
            settings["response_format"] = response_format(config.constraint, strict=_STRICT not in self._refused)
            settings["max_tokens"] += WRAPPER_TOKENS if is_wrapped(config.constraint) else 0
        if "max_tokens" in self._refused:
            settings["max_completion_tokens"] = settings["max_tokens"]
        return {name: value for name, value in settings.items() if name not in self._refused}

    def _refusal(self, error: openai.APIStatusError) -> LanguageModelError:
        if _is_filtered(error):
            return ContentFilterError(f"the content filter of {self._base_url} refused a prompt")
        return self._explained(error)

    def _explained(self, error: Exception) -> LanguageModelError:
        """What went wrong and what to do about it, in the user's terms."""
        where = f"the model {self._model!r} at {self._base_url}"
        if isinstance(error, openai.APITimeoutError):
            return UnavailableError(f"{where} did not answer in time, repeatedly; try again, or lower batch_size")
        if isinstance(error, openai.APIConnectionError | httpx2.HTTPError):
            reason = error.__cause__ or error
            return LanguageModelError(
                f"cannot reach {self._base_url} ({reason}); start the server, or correct the base URL"
            )
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return LanguageModelError(
                f"{where} refused the key (HTTP {error.status_code}); {how_to_give_key(self._base_url)}"
            )
        if isinstance(error, openai.NotFoundError):
            return LanguageModelError(
                f"{where} does not exist (HTTP 404); correct the model's name, or the base URL, which usually ends "
                "in /v1"
            )
        if isinstance(error, openai.RateLimitError):
            return UnavailableError(
                f"{where} keeps refusing for its rate limit or quota: {error.message}; wait, lower "
                "batch_size, or raise the quota"
            )
        if isinstance(error, openai.APIStatusError) and _is_overflow(error):
            return LanguageModelError(
                f"a prompt leaves no room for an answer in the context of {where}: {error.message}; shorten it, lower "
                "max_output_tokens, or give the model's true context_tokens"
            )
        if isinstance(error, openai.InternalServerError):
            return UnavailableError(f"{where} failed (HTTP {error.status_code}): {error.message}")
        if isinstance(error, openai.APIStatusError):
            return LanguageModelError(f"{where} failed (HTTP {error.status_code}): {error.message}")
        return LanguageModelError(f"{where} sent an answer that cannot be read: {error}")


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"the base URL {url!r} is no http(s) URL; give one like http://localhost:8000/v1")
    if parts.username or parts.password:
        raise ConfigError("the base URL holds a user name or password; give keys by the environment instead")
    return url.rstrip("/")


def _finish_reason(told: Any) -> FinishReason:
    return _FINISH_REASONS.get(str(told).partition(":")[0].strip(), FinishReason.STOP)


def _said(message: Any) -> str:
    """The text of a message or its delta, or the words in which the model itself declines: users would read them."""
    return _text_of(getattr(message, "content", None)) or _text_of(getattr(message, "refusal", None))


def _text_of(content: Any) -> str:
    """The text of a message, which some servers send in parts, those of reasoning among them."""
    if isinstance(content, list):
        parts = [part if isinstance(part, dict) else {} for part in content]
        return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    return content if isinstance(content, str) else ""


def _is_filtered(error: openai.APIStatusError) -> bool:
    """Whether a prompt or its answer was refused for what it says, as Azure does."""
    body = error.body if isinstance(error.body, dict) else {}
    inner = body.get("innererror") or body.get("inner_error")
    codes = {error.code, inner.get("code") if isinstance(inner, dict) else None}
    return not codes.isdisjoint(_FILTER_CODES) or "content management policy" in error.message.lower()


def _most_characters(config: GenerationConfig) -> int:
    """What an answer within its limit never has, so that the rest of a longer one is not read."""
    return _CHARACTERS_PER_TOKEN * (config.max_output_tokens + WRAPPER_TOKENS)


def _estimate_tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


def _is_overflow(error: openai.APIStatusError) -> bool:
    text = error.message.lower()
    return error.code == "context_length_exceeded" or any(words in text for words in _OVERFLOW_WORDS)


def _refused_setting(error: openai.APIStatusError, sent: dict[str, Any]) -> str | None:
    """The setting a refusal is about, among those that can be renamed or left out."""
    # Its name is no word of English, and not all endpoints put it in quotes.
    form = sent.get("response_format")
    if form and ((error.param or "").startswith("response_format") or "response_format" in error.message):
        return _STRICT if form["json_schema"]["strict"] else "response_format"
    candidates = [name for name in ("max_tokens", "temperature", "seed", "stop") if name in sent]
    if error.param in candidates:
        return error.param
    return next((name for name in candidates if any(f"{q}{name}{q}" in error.message for q in "'\"`")), None)
