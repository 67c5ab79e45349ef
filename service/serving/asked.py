"""What a caller may ask besides the question, and what comes back."""

from dataclasses import dataclass, replace

from advisor.results.answer import Answer
from service.serving.batcher import AskedPipeline


@dataclass(frozen=True, slots=True)
class Decoding:
    """What may differ from how the arm was measured. The default is as measured.

    Attributes:
        max_output_tokens: Shortens answers; none is longer than the dataset's card allows.
        stop: Texts that end an answer.
        temperature: 0 is greedy, as measured; above it, the question is a batch of its own, so that the seed decides.
    """

    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    seed: int | None = None

    def applied(self, pipeline: AskedPipeline) -> AskedPipeline:
        """The pipeline with this decoding."""
        generation = pipeline.generation
        if self.max_output_tokens is not None:
            n_tokens = min(self.max_output_tokens, generation.max_output_tokens)
            generation = replace(generation, max_output_tokens=n_tokens)
        if self.stop:
            generation = replace(generation, stop=(*generation.stop, *self.stop))
        if self.temperature > 0:
            seed = generation.seed if self.seed is None else self.seed
            generation = replace(generation, temperature=self.temperature, seed=seed, batch_size=1)
        return pipeline if generation == pipeline.generation else replace(pipeline, generation=generation)


AS_MEASURED = Decoding()


@dataclass(frozen=True, slots=True)
class ServedAnswer:
    """One answer and what it took.

    Attributes:
        latency_s: What the caller waited in the service: for the arm to be loaded, for its turn, for the model.
        model_s: Wall seconds of the batch it was answered in, retrieval included.
        batch_size: Questions in that batch.
        cost_usd: By the rule and price list of the report; None without a price.
    """

    question: str
    answer: Answer
    latency_s: float
    model_s: float
    batch_size: int
    cost_usd: float | None
