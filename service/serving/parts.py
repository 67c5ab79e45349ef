"""The models and embedders that open comparisons share."""

from collections.abc import Callable

from lm.embedding import Embedder
from lm.language_model import LanguageModel
from lm.registry import parse_spec
from service.run.settings import ComparisonSettings
from service.serving.limits import ServingLimits
from service.serving.shared import Shared, Taken

LoadModel = Callable[[ComparisonSettings], LanguageModel]
LoadEmbedder = Callable[[ComparisonSettings], Embedder]

_HOSTED_RETRIES = 1


class SharedParts:
    """Each base model and each embedder: once, for as long as a comparison in memory uses it."""

    def __init__(
        self, limits: ServingLimits, *, load_model: LoadModel | None = None, load_embedder: LoadEmbedder | None = None
    ) -> None:
        self._limits = limits
        self.load_model = load_model or self._registered_model
        self.load_embedder = load_embedder or _registered_embedder
        self.models: Shared[LanguageModel] = Shared()
        self.embedders: Shared[Embedder] = Shared()

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


class TakenParts(Taken):
    """What one comparison takes of them."""

    def __init__(self, shared: SharedParts, settings: ComparisonSettings) -> None:
        super().__init__()
        self._shared = shared
        self._settings = settings

    def model(self, spec: str) -> LanguageModel:
        """One of the models that the settings name."""
        settings = self._settings.with_model(spec)
        key = (spec, settings.load_options)
        return self.take(self._shared.models, key, lambda: self._shared.load_model(settings))

    def embedder(self) -> Embedder:
        """The embedder."""
        settings = self._settings
        key = (settings.embedder, settings.embedding_dimensions)
        return self.take(self._shared.embedders, key, lambda: self._shared.load_embedder(settings))


def _registered_embedder(settings: ComparisonSettings) -> Embedder:
    from service.run.composition import LoadedParts

    return LoadedParts(settings).embedder()
