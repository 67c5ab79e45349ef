"""Reading what a judge wrote: models add reasoning, fences and words around the JSON they were asked for."""

import json
import re
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

Reply = TypeVar("Reply", bound=BaseModel)

_YES_OR_NO = frozenset({"verdict", "attributed", "noncommittal"})
_REASONING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)


def parse_reply(text: str, response_model: type[Reply]) -> Reply:
    """The first JSON object in the text that is what was asked for.

    Raises:
        ValueError: there is none; the message says why, fit to be shown to the judge.
    """
    text = _REASONING.sub("", text)
    problem = "there is no JSON object in it"
    for start in (match.start() for match in re.finditer(r"\{", text)):
        try:
            value, _ = json.JSONDecoder().raw_decode(text, start)
            return _usable(response_model.model_validate(value))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        except (ValueError, RecursionError) as error:
            problem = str(error)
    raise ValueError(problem)


def _usable(reply: Reply) -> Reply:
    """Refuse what ragas would take for a bad answer though it is a bad reply."""
    if getattr(reply, "question", None) == "":
        raise ValueError("question: is empty")
    for name, value in _fields(reply.model_dump()):
        if name in _YES_OR_NO and value not in (0, 1):
            raise ValueError(f"{name}: is {value}, and must be 0 or 1")
    return reply


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Names and values at all depths."""
    if isinstance(value, list):
        for item in value:
            yield from _fields(item)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name, inner
            yield from _fields(inner)
