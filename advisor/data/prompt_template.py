"""A team's own prompt: text with `{question}`, and where it wants them `{passages}` and `{examples}`."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lm.completion import Message, Messages, Role
from lm.errors import ConfigError
from lm.files import sha256

QUESTION, PASSAGES, EXAMPLES = "{question}", "{passages}", "{examples}"
_PLACE = re.compile(r"\{\{|\}\}|\{[A-Za-z_]\w*\}")


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """The text of one prompt; `{{` and `}}` stand for braces.

    Attributes:
        system: The system turn; "" for none. user: The user's turn.
    """

    system: str
    user: str

    @property
    def fingerprint(self) -> str:
        """Hash of the texts."""
        return sha256(repr((self.system, self.user)))

    def has(self, place: str) -> bool:
        """Whether one of the texts has that place."""
        return any(place in _PLACE.findall(text) for text in (self.system, self.user))

    def messages(self, question: str, passages: Sequence[str] = (), examples: str = "") -> Messages:
        """The turns, with what belongs in their places."""
        numbered = "\n\n".join(f"[{i}] {passage}" for i, passage in enumerate(passages, 1))
        values = {QUESTION: question, PASSAGES: numbered, EXAMPLES: examples, "{{": "{", "}}": "}"}

        def filled(text: str) -> str:
            return _PLACE.sub(lambda found: values[found.group()], text)

        turns = [Message(Role.SYSTEM, filled(self.system))] if self.system else []
        return (*turns, Message(Role.USER, filled(self.user)))


def read_prompt_template(path: Path) -> PromptTemplate:
    """The prompt in a file.

    Raises:
        ConfigError: it cannot be read, has no place for the question, or one that nothing belongs in.
    """
    try:
        return parse_prompt_template(path.read_text(encoding="utf-8-sig"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the prompt {path} cannot be read: {error}") from None


def parse_prompt_template(text: str, name: str) -> PromptTemplate:
    """The prompt in a text: TOML with `system` and `user`, or any other text, which is all the user's.

    Args:
        name: Of its file; ends in .toml where it is TOML.

    Raises:
        ConfigError: it has no place for the question, or one that nothing belongs in.
    """
    try:
        raw = tomllib.loads(text) if name.lower().endswith(".toml") else {"user": text}
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the prompt {name} cannot be read: {error}") from None
    if set(raw) - {"system", "user"} or not all(isinstance(value, str) for value in raw.values()):
        raise ConfigError(f"the prompt {name} may hold the texts system and user; it holds {', '.join(sorted(raw))}")
    template = PromptTemplate(raw.get("system", "").strip(), raw.get("user", "").strip())
    known = {QUESTION, PASSAGES, EXAMPLES, "{{", "}}"}
    for place in _PLACE.findall(f"{template.system}\n{template.user}"):
        if place not in known:
            raise ConfigError(
                f"the prompt {name} has {place}, and nothing belongs there; use {QUESTION}, {PASSAGES} and {EXAMPLES}, "
                f"or write {{{place}}} for the text itself"
            )
    if QUESTION not in _PLACE.findall(template.user):
        raise ConfigError(f"the prompt {name} has no {QUESTION} in the user's text; say where the question goes")
    return template
