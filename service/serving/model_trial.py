"""Whether a model is here or can be reached, how large it is, and one answer of it, before a comparison is started."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from lm.completion import GenerationConfig, Message, Role
from lm.endpoint.endpoint_key import OPENAI_BASE_URL, endpoint_key, how_to_give_key, is_azure, is_openai
from lm.errors import ErrorKind, LanguageModelError, TuningForkError
from lm.language_model import LanguageModel
from lm.registry import SCHEMES, load_language_model, parse_spec
from lm.weights.embedded_model import EMBEDDED_MODEL, EMBEDDED_PARAMETERS, HUB_ID, find_embedded_gguf
from lm.weights.model_files import count_parameters, find_cached_model, find_weight_files
from service.serving.endpoint_failure import endpoint_failure

QUESTION = "What is the capital of France? Answer with one word."
_MAX_OUTPUT_TOKENS = 16
_ENDPOINT_TIMEOUT_S = 30.0

_one_at_a_time = Lock()


class TrialBusyError(TuningForkError):
    """Another model is being tried: each is loaded whole into memory."""

    kind = ErrorKind.TOO_MANY
    title = "Another trial runs"
    retry_after_s = 5.0


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model without loading it.

    Attributes:
        is_ready: Whether it can be tried now: its weights are here, or its endpoint has the key that it needs.
        parameters, n_bytes: Of the weights here; None where they are elsewhere or not yet here.
        tunable: Whether it can be tuned.
        message: Where it is, and what is missing.
    """

    is_ready: bool
    parameters: int | None
    n_bytes: int | None
    tunable: bool
    message: str


@dataclass(frozen=True, slots=True)
class ModelTrial:
    """What a model said to `QUESTION`.

    Attributes:
        load_s: Seconds until it could be asked; answer_s: until its answer was whole.
    """

    text: str
    load_s: float
    answer_s: float
    input_tokens: int
    output_tokens: int


def model_facts(spec: str) -> ModelFacts:
    """Where a model is and how large, by files and environment alone; nothing is sent, fetched or loaded.

    Raises:
        ConfigError: no kind of model is called so.
    """
    kind, name = parse_spec(spec)
    if not SCHEMES[kind].is_local:
        return _endpoint_facts(name) if kind == "openai" else ModelFacts(True, None, None, False, spec)
    files = _weight_files(kind, name)
    if not files:
        told = f"{name or spec} is not on the machine of the service; it will be downloaded when a comparison starts"
        return ModelFacts(False, None, None, True, told)
    parameters = EMBEDDED_PARAMETERS if kind == EMBEDDED_MODEL else None
    if parameters is None and kind != "gguf":
        parameters = count_parameters(files)
    n_bytes = sum(path.stat().st_size for path in files)
    return ModelFacts(True, parameters, n_bytes, True, "on the machine of the service")


def try_model(spec: str, ask: Callable[[str], ModelTrial]) -> ModelTrial:
    """Load a model and put the fixed question to it. A hub model is asked only if it is here.

    Args:
        ask: `ask_model`, where the model may be loaded.

    Raises:
        TrialBusyError: another trial runs.
        LanguageModelError: it is not here, or failed.
        EndpointFailedError: its endpoint is down, late or refuses the key.
    """
    facts = model_facts(spec)
    if not facts.is_ready:
        raise LanguageModelError(f"{spec} cannot be tried: {facts.message}")
    if not _one_at_a_time.acquire(blocking=False):
        raise TrialBusyError("another model is being tried; try again when it has answered")
    try:
        return ask(spec)
    except LanguageModelError as error:
        failure = endpoint_failure(error, None if facts.tunable else spec)
        if failure is None:
            raise
        raise failure from error
    finally:
        _one_at_a_time.release()


def ask_model(spec: str) -> ModelTrial:
    """What a model says to the fixed question.

    Raises:
        LanguageModelError: it cannot be loaded, or failed.
    """
    started = time.perf_counter()
    model = _loaded(spec)
    loaded = time.perf_counter()
    config = GenerationConfig(max_output_tokens=_MAX_OUTPUT_TOKENS, batch_size=1)
    (completion,) = model.generate([[Message(Role.USER, QUESTION)]], config)
    answered = time.perf_counter()
    usage = completion.usage
    return ModelTrial(completion.text, loaded - started, answered - loaded, usage.input_tokens, usage.output_tokens)


def _loaded(spec: str) -> LanguageModel:
    kind, name = parse_spec(spec)
    if kind == "openai":
        from lm.endpoint.openai_compatible import OpenAICompatibleModel

        model, _, url = name.partition("@")
        # Who waits for one answer wants to know at once that there is none.
        return OpenAICompatibleModel(model, base_url=url or None, max_retries=0, timeout_s=_ENDPOINT_TIMEOUT_S)
    if kind == "hf" and (folder := find_cached_model(name)) is not None:
        # By its folder, so that the hub is not asked for a newer one.
        return load_language_model(f"hf:{folder}")
    return load_language_model(spec)


def _endpoint_facts(name: str) -> ModelFacts:
    url = name.partition("@")[2] or os.environ.get("OPENAI_BASE_URL") or OPENAI_BASE_URL
    if endpoint_key(url) is not None:
        return ModelFacts(True, None, None, False, f"at {url}, with the key of the service")
    if is_openai(url) or is_azure(url):
        return ModelFacts(False, None, None, False, f"at {url}, which needs a key: {how_to_give_key(url)}")
    return ModelFacts(True, None, None, False, f"at {url}, without a key; to give one, {how_to_give_key(url)}")


def _weight_files(kind: str, name: str) -> tuple[Path, ...]:
    """The files of a local model; none where it is not here."""
    if kind == "gguf":
        return (Path(name),) if Path(name).is_file() else ()
    if kind == EMBEDDED_MODEL:
        if (path := find_embedded_gguf()) is not None:
            return (path,)
        name = HUB_ID
    try:
        folder = find_cached_model(name)
        return find_weight_files(folder) if folder is not None else ()
    except LanguageModelError:
        return ()
