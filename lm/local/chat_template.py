"""How messages become the text a local model reads: its own chat template, whatever family it is of."""

from typing import Any

from lm.completion import Message, Messages, Role, chat_rows
from lm.errors import LanguageModelError

PLAIN_TEMPLATE = (
    "{{ bos_token if bos_token else '' }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] | trim }}\n\n"
    "{% elif message['role'] == 'user' %}User: {{ message['content'] | trim }}\n"
    "{% else %}Assistant: {{ message['content'] | trim }}{{ eos_token if eos_token else '' }}\n"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""For base models without a template of their own: system text, then `User:` and `Assistant:` lines."""

PLAIN_STOP = ("\nUser:",)
"""A base model goes on to write the user's next turn; the answer ends before it."""

_PROBE = "tuning fork system probe"


class ChatTemplate:
    """Renders messages by a tokenizer's chat template.

    A tokenizer without one is given `PLAIN_TEMPLATE`. Where the template refuses the system role, or drops its text
    silently, the system text goes to the top of the first user turn. Reasoning models that have the switch
    (`enable_thinking`: Qwen 3, SmolLM 3 and others) answer without thinking aloud: the short answers that arms are
    compared on leave no room for it.

    Attributes:
        stop: Texts that end every answer besides those the caller asks for.
        answer_lead: What stands between a prompt and the text of its answer, such as a space.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.stop: tuple[str, ...] = ()
        if not tokenizer.chat_template:
            tokenizer.chat_template = PLAIN_TEMPLATE
            self.stop = PLAIN_STOP
        self._takes_system = self._renders_system()
        self.answer_lead = self._answer_lead()

    @property
    def source(self) -> str:
        """The template's text; decides answers, so it is part of the fingerprint."""
        template = self._tokenizer.chat_template
        return str(template) if isinstance(template, str) else repr(sorted(template.items()))

    def render(self, messages: Messages, *, add_generation_prompt: bool = True) -> str:
        """The text of a prompt, special tokens included.

        Raises:
            LanguageModelError: the template refuses the messages, for example two user turns in a row.
        """
        from jinja2 import TemplateError

        try:
            return self._render(messages if self._takes_system else _merge_system(messages), add_generation_prompt)
        except TemplateError as error:
            roles = ", ".join(message.role for message in messages)
            raise LanguageModelError(f"the model's chat template refuses the turns ({roles}): {error}") from error

    def _render(self, messages: Messages, add_generation_prompt: bool) -> str:
        rows = chat_rows(messages)
        text = self._tokenizer.apply_chat_template(
            rows, tokenize=False, add_generation_prompt=add_generation_prompt, enable_thinking=False
        )
        return str(text)

    def _renders_system(self) -> bool:
        from jinja2 import TemplateError

        try:
            return _PROBE in self._render([Message(Role.SYSTEM, _PROBE), Message(Role.USER, "x")], True)
        except TemplateError:
            return False

    def _answer_lead(self) -> str:
        from jinja2 import TemplateError

        user = Message(Role.USER, "x")
        try:
            prompt = self._render([user], True)
            answered = self._render([user, Message(Role.ASSISTANT, _PROBE)], False)
        except TemplateError:
            return ""
        lead = answered.removeprefix(prompt).partition(_PROBE)[0]
        return lead if answered.startswith(prompt) and lead.isspace() else ""


def _merge_system(messages: Messages) -> Messages:
    system = "\n\n".join(message.content for message in messages if message.role is Role.SYSTEM)
    turns = [message for message in messages if message.role is not Role.SYSTEM]
    if not system:
        return turns
    if not turns or turns[0].role is not Role.USER:
        return [Message(Role.USER, system), *turns]
    return [Message(Role.USER, f"{system}\n\n{turns[0].content}"), *turns[1:]]
