"""The models and embedders that open comparisons share."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from lm.embedding import Embedder
from lm.language_model import LanguageModel
from lm.registry import parse_spec
from service.run.settings import ComparisonSettings
from service.serving.batcher import Batcher
from service.serving.limits import ServingLimits
from service.serving.shared import Shared

T = TypeVar("T")
LoadModel = Callable[[ComparisonSettings], LanguageModel]
LoadEmbedder = Callable[[ComparisonSettings], Embedder]

_HOSTED_RETRIES = 1


class SharedParts:
    """Each base model, the queue to it, and each embedder: once, for as long as a comparison in memory uses it."""

    def __init__(
        self, limits: ServingLimits, *, load_model: LoadModel | None = None, load_embedder: LoadEmbedder | None = None
    ) -> None:
        self._limits = limits
        self.load_model = load_model or self._registered_model
        self.load_embedder = load_embedder or _registered_embedder
        self.models: Shared[LanguageModel] = Shared()
        self.batchers: Shared[Batcher] = Shared(lambda batcher: batcher.close())
        self.embedders: Shared[Embedder] = Shared()

    def new_batcher(self, settings: ComparisonSettings) -> Batcher:
        """The queue to a base model, which need not be loaded."""
        is_remote = parse_spec(settings.model)[0] == "openai"
        return Batcher(
            settings.model,
            batch_questions=self._limits.batch_questions,
            queued_questions=self._limits.queued_questions,
            window_s=self._limits.window_s,
            n_threads=self._limits.n_remote_threads if is_remote else 1,
        )

    def _registered_model(self, settings: ComparisonSettings) -> LanguageModel:
        kind, rest = parse_spec(settings.model)
        if kind != "openai":
            from service.run.composition import LoadedParts

            return LoadedParts(settings).model(settings.model)
        from lm.endpoint.openai_compatible import OpenAICompatibleModel

        # A job may wait and try again for long; here somebody waits, who had better be told.
        name, _, base_url = rest.partition("@")
        return OpenAICompatibleModel(
            name,
            base_url=base_url or None,
            context_tokens=settings.context_tokens,
            max_retries=_HOSTED_RETRIES,
            timeout_s=self._limits.timeout_s,
        )


class TakenParts:
    """What one comparison takes of them when an arm first needs it, to be given back at its end."""

    def __init__(self, shared: SharedParts, settings: ComparisonSettings) -> None:
        self._shared = shared
        self._settings = settings
        self._taken: dict[tuple[Shared[Any], Hashable], Any] = {}

    def model(self, spec: str) -> LanguageModel:
        """One of the models that the settings name."""
        settings = self._settings.with_model(spec)
        return self._take(self._shared.models, (spec, settings.load_options), self._shared.load_model, settings)

    def batcher(self, spec: str) -> Batcher:
        """The queue to it."""
        settings = self._settings.with_model(spec)
        return self._take(self._shared.batchers, (spec, settings.load_options), self._shared.new_batcher, settings)

    def embedder(self) -> Embedder:
        """The embedder."""
        settings = self._settings
        key = (settings.embedder, settings.embedding_dimensions)
        return self._take(self._shared.embedders, key, self._shared.load_embedder, settings)

    def give_back(self) -> None:
        """The comparison is closed."""
        for shared, key in self._taken:
            shared.give_back(key)
        self._taken.clear()

    def _take(
        self, shared: Shared[T], key: Hashable, make: Callable[[ComparisonSettings], T], settings: ComparisonSettings
    ) -> T:
        if (shared, key) not in self._taken:
            self._taken[shared, key] = shared.take(key, lambda: make(settings))
        value: T = self._taken[shared, key]
        return value


def _registered_embedder(settings: ComparisonSettings) -> Embedder:
    from service.run.composition import LoadedParts

    return LoadedParts(settings).embedder()
