"""Our language models and embedders in the shape ragas expects. Costly to import: do it inside a function."""

import asyncio
from collections.abc import Sequence
from typing import Any

from ragas.embeddings.base import BaseRagasEmbedding
from ragas.llms.base import InstructorBaseRagasLLM

from advisor.errors import EvaluationError
from advisor.metrics.judge_reply import Reply, parse_reply
from lm.completion import GenerationConfig, Message, Messages, Role
from lm.embedding import Embedder
from lm.language_model import LanguageModel

N_ATTEMPTS = 3
"""How often a judge is asked for one reply before the score is given up."""

_DECODING = GenerationConfig(max_output_tokens=1024)
_N_FAILURES_IN_A_ROW = 3


class JudgeLLM(InstructorBaseRagasLLM):  # type: ignore[misc]
    """Any language model as a judge: its replies are read as JSON, an unreadable one is asked for again.

    Prompts that wait at the same time go to the model as one batch.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._waiting: list[tuple[Messages, asyncio.Future[str]]] = []

    def generate(self, prompt: str, response_model: type[Reply]) -> Reply:
        """The judge's reply; only outside an event loop."""
        return asyncio.run(self.agenerate(prompt, response_model))

    async def agenerate(self, prompt: str, response_model: type[Reply]) -> Reply:
        """The judge's reply.

        Raises:
            EvaluationError: no readable reply in `N_ATTEMPTS` attempts.
            LanguageModelError: the model failed.
        """
        turns = [Message(Role.USER, prompt)]
        problem = ""
        for _ in range(N_ATTEMPTS):
            text = await self._ask(tuple(turns))
            try:
                return parse_reply(text, response_model)
            except ValueError as error:
                problem = str(error)
            turns += [Message(Role.ASSISTANT, text)] if text else []
            turns.append(Message(Role.USER, f"That cannot be read ({problem}). Reply with the JSON object alone."))
        raise EvaluationError(
            f"the judge {self._model.name} gave no readable reply in {N_ATTEMPTS} attempts: {problem}"
        )

    async def _ask(self, prompt: Messages) -> str:
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[str] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._answer_waiting)  # after all coroutines that are ready now have asked too
        self._waiting.append((prompt, reply))
        return await reply

    def _answer_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for (_, reply), outcome in zip(waiting, self._replies([prompt for prompt, _ in waiting]), strict=True):
            if reply.cancelled():
                continue
            if isinstance(outcome, Exception):
                reply.set_exception(outcome)
            else:
                reply.set_result(outcome)

    def _replies(self, prompts: Sequence[Messages]) -> list[str | Exception]:
        """Replies in order. One bad prompt must not spoil its batch: after a failure they are tried one by one."""
        try:
            return [completion.text for completion in self._model.generate(prompts, _DECODING)]
        except Exception as error:
            if len(prompts) == 1:
                return [error]
        replies: list[str | Exception] = []
        for prompt in prompts:
            last = replies[-_N_FAILURES_IN_A_ROW:]
            if len(last) == _N_FAILURES_IN_A_ROW and all(isinstance(reply, Exception) for reply in last):
                replies.append(last[-1])  # the judge is gone; do not wait for every prompt to time out
            else:
                replies += self._replies([prompt])
        return replies


class EmbedderAdapter(BaseRagasEmbedding):  # type: ignore[misc]
    """Our embedder for ragas."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__()
        self._embedder = embedder

    def embed_text(self, text: str, **_: Any) -> list[float]:
        """The vector of one text, length n_dimensions."""
        return self.embed_texts([text])[0]

    async def aembed_text(self, text: str, **_: Any) -> list[float]:
        """As `embed_text`."""
        return self.embed_text(text)

    def embed_texts(self, texts: list[str], **_: Any) -> list[list[float]]:
        """Vectors of many texts, shape (n_texts, n_dimensions)."""
        return [[float(x) for x in vector] for vector in self._embedder.embed(texts)]

    async def aembed_texts(self, texts: list[str], **_: Any) -> list[list[float]]:
        """As `embed_texts`."""
        return self.embed_texts(texts)
