import json
from typing import Any

import httpx2
import pytest

from lm.completion import Likelihood, Message, Role
from lm.endpoint.openai_compatible import OpenAICompatibleModel
from lm.errors import LanguageModelError
from lm.language_model import LikelihoodModel

PROMPTS = [(Message(Role.USER, text),) for text in ("How long is the warranty of it?", "Who?", "What is the price?")]
ANSWERS = ["two whole years", "", "nine"]


class Server:
    """A token is a word, as probable as it is short; what the model is to write begins with a token of its own."""

    def __init__(self, *, tells: bool = True, status: int = 200) -> None:
        self.requests: list[dict[str, Any]] = []
        self._tells = tells
        self._status = status

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        sent = json.loads(request.content)
        self.requests.append(sent)
        tokens = [f"<{m['role']}> {m['content']}" for m in sent["messages"]]
        tokens = " ".join([*tokens, *(["<assistant>"] if sent.get("add_generation_prompt", True) else [])]).split()
        told = [None, *({str(i): {"logprob": -float(len(token))}} for i, token in enumerate(tokens[1:]))]
        body = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "x"}}],
            "usage": {"prompt_tokens": len(tokens), "completion_tokens": 1, "total_tokens": len(tokens) + 1},
            **({"prompt_logprobs": told} if self._tells and "prompt_logprobs" in sent else {}),
        }
        return httpx2.Response(self._status, json=body if self._status == 200 else {"error": {"message": "no"}})

    def model(self) -> OpenAICompatibleModel:
        client = httpx2.Client(transport=httpx2.MockTransport(self))
        return OpenAICompatibleModel("m", base_url="http://localhost:8000/v1", max_retries=0, http_client=client)


def test_log_probabilities_are_those_of_the_answer_alone() -> None:
    model = Server().model()
    assert isinstance(model, LikelihoodModel)
    assert model.likelihoods(PROMPTS, ANSWERS) == [Likelihood(-13.0, 3), None, Likelihood(-4.0, 1)]


@pytest.mark.parametrize("options", [{"tells": False}, {"status": 400}, {"status": 422}])
def test_a_server_that_does_not_tell_is_asked_once(options: dict[str, Any]) -> None:
    server = Server(**options)
    assert server.model().likelihoods(PROMPTS, ANSWERS) == [None, None, None]
    assert len(server.requests) == 1


def test_a_server_that_is_away_is_no_answer() -> None:
    with pytest.raises(LanguageModelError, match="failed \\(HTTP 500\\)"):
        Server(status=500).model().likelihoods(PROMPTS, ANSWERS)
