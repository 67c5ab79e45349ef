"""How probable an endpoint's model holds texts that others wrote, where the server tells it, as vLLM does.

Source: vLLM, "Extra parameters" of the Chat Completions API (`prompt_logprobs`, `continue_final_message`,
`add_generation_prompt`).
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai

from lm.completion import Likelihood, Messages, chat_rows

_REQUESTS_AT_A_TIME = 8
_WRITTEN = {"prompt_logprobs": 0, "continue_final_message": True, "add_generation_prompt": False}


def told_likelihoods(
    client: openai.OpenAI, model: str, prompts: Sequence[Messages], texts: Sequence[str]
) -> list[Likelihood | None]:
    """Of each text after its prompt, end token excluded.

    The shortest is asked for first: a server that does not tell there is asked for no other.

    Returns:
        None for an empty text, and where the server refuses or does not tell.
    Raises:
        openai.OpenAIError: the server cannot be reached.
    """
    pairs = list(zip(prompts, texts, strict=True))
    found: list[Likelihood | None] = [None] * len(pairs)
    wanted = sorted((i for i, text in enumerate(texts) if text), key=lambda i: len(str(pairs[i])))
    if not wanted or (shortest := _told(client, model, *pairs[wanted[0]])) is None:
        return found
    found[wanted[0]] = shortest
    with ThreadPoolExecutor(_REQUESTS_AT_A_TIME, thread_name_prefix="likelihoods") as pool:
        others = pool.map(lambda i: _told(client, model, *pairs[i]), wanted[1:])
        for i, likelihood in zip(wanted[1:], others, strict=True):
            found[i] = likelihood
    return found


def _told(client: openai.OpenAI, model: str, prompt: Messages, text: str) -> Likelihood | None:
    messages: list[Any] = chat_rows(prompt)
    written = [*messages, {"role": "assistant", "content": text}]
    try:
        reply = client.chat.completions.create(model=model, messages=written, max_tokens=1, extra_body=_WRITTEN)
        told: Sequence[Mapping[str, Mapping[str, Any]] | None] = (reply.model_extra or {}).get("prompt_logprobs") or []
        if not told:
            return None
        # The same prompt without the text has so many tokens less.
        asked = client.chat.completions.create(model=model, messages=messages, max_tokens=1)
    except (openai.BadRequestError, openai.UnprocessableEntityError):
        return None
    of_text = told[asked.usage.prompt_tokens :] if asked.usage is not None else []
    log_probabilities = [one["logprob"] for token in of_text if token for one in token.values()]
    if not log_probabilities or len(log_probabilities) != len(of_text):
        return None
    return Likelihood(float(sum(log_probabilities)), len(log_probabilities))
