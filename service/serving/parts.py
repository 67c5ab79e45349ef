"""The models and embedders that open comparisons share."""

from collections.abc import Callable

from lm.embedding import Embedder
from lm.language_model import LanguageModel
from lm.registry import parse_spec
from service.run.settings import ComparisonSettings
from service.serving.batcher import Batcher
from service.serving.limits import ServingLimits
from service.serving.shared import Shared

LoadModel = Callable[[ComparisonSettings], LanguageModel]
LoadEmbedder = Callable[[ComparisonSettings], Embedder]

_HOSTED_RETRIES = 1


class SharedParts:
    """Each base model, with its queue, and each embedder: once, for as long as a comparison in memory uses it."""

    def __init__(
        self, limits: ServingLimits, *, load_model: LoadModel | None = None, load_embedder: LoadEmbedder | None = None
    ) -> None:
        self._limits = limits
        self.load_model = load_model or self._registered_model
        self.load_embedder = load_embedder or _registered_embedder
        self.models: Shared[tuple[LanguageModel, Batcher]] = Shared(lambda shared: shared[1].close())
        self.embedders: Shared[Embedder] = Shared()

    def loaded(self, settings: ComparisonSettings) -> tuple[LanguageModel, Batcher]:
        """A base model, newly loaded, and the queue to it."""
        model = self.load_model(settings)
        is_remote = parse_spec(settings.model)[0] == "openai"
        batcher = Batcher(
            settings.model,
            batch_questions=self._limits.batch_questions,
            queued_questions=self._limits.queued_questions,
            window_s=self._limits.window_s,
            n_threads=self._limits.n_remote_threads if is_remote else 1,
        )
        return model, batcher

    def _registered_model(self, settings: ComparisonSettings) -> LanguageModel:
        kind, rest = parse_spec(settings.model)
        if kind != "openai":
            from service.run.composition import LoadedParts

            return LoadedParts(settings).model()
        from lm.endpoint.openai_compatible import OpenAICompatibleModel

        # A job may wait and try again for long; here somebody waits, who had better be told.
        name, _, base_url = rest.partition("@")
        return OpenAICompatibleModel(
            name, base_url=base_url or None, max_retries=_HOSTED_RETRIES, timeout_s=self._limits.timeout_s
        )


class TakenParts:
    """What one comparison takes of them, to be given back at its end."""

    def __init__(self, shared: SharedParts, settings: ComparisonSettings) -> None:
        self._shared = shared
        self._settings = settings
        self._model: tuple[LanguageModel, Batcher] | None = None
        self._embedder: Embedder | None = None

    @property
    def _model_key(self) -> tuple[str, bool]:
        return self._settings.model, self._settings.trust_remote_code

    def model(self) -> LanguageModel:
        """The base model."""
        return self._take_model()[0]

    def batcher(self) -> Batcher:
        """The queue to it."""
        return self._take_model()[1]

    def embedder(self) -> Embedder:
        """The embedder."""
        if self._embedder is None:
            key = self._settings.embedder
            self._embedder = self._shared.embedders.take(key, lambda: self._shared.load_embedder(self._settings))
        return self._embedder

    def give_back(self) -> None:
        """The comparison is closed."""
        if self._model is not None:
            self._model = None
            self._shared.models.give_back(self._model_key)
        if self._embedder is not None:
            self._embedder = None
            self._shared.embedders.give_back(self._settings.embedder)

    def _take_model(self) -> tuple[LanguageModel, Batcher]:
        if self._model is None:
            self._model = self._shared.models.take(self._model_key, lambda: self._shared.loaded(self._settings))
        return self._model


def _registered_embedder(settings: ComparisonSettings) -> Embedder:
    from service.run.composition import LoadedParts

    return LoadedParts(settings).embedder()
