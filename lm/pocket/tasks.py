"""Conversations other than reading: labels, structured extraction, lists to look things up in, worked examples."""

import json
import random
from collections.abc import Sequence

from lm.pocket import vocabulary as words_of
from lm.pocket.attributes import Attribute, AttributeSource
from lm.pocket.documents import DocumentSource
from lm.pocket.passages import ABSTENTION, capitalised, question_about
from lm.pocket.values import KINDS_OF_VALUE, Values

Turn = tuple[str, str]
"""(role, text)"""


def _exchange(question: str, answer: str) -> list[Turn]:
    return [("user", question), ("assistant", answer)]


class TaskSource:
    """Draws conversations; every method returns turns that begin with the user and end with the assistant."""

    def __init__(self, rng: random.Random, values: Values, attributes: AttributeSource, documents: DocumentSource):
        self.rng, self.values, self.attributes, self.documents = rng, values, attributes, documents

    def labels(self, n_messages: int) -> list[Turn]:
        """Messages sorted into labels, by the labels' meaning or by the worked examples that come first.

        The labels are listed at the start, or only shown: then the first messages have each of them once.
        """
        rng = self.rng
        chosen = rng.sample(sorted(words_of.THEMES), rng.randint(2, min(8, len(words_of.THEMES))))
        arbitrary = rng.random() < 0.45
        names = {theme: self._label_name(theme, arbitrary) for theme in chosen}
        phrases = {theme: list(words_of.THEMES[theme]) for theme in chosen}
        draw = rng.random()
        if draw < 0.10:
            names = {self._label_name("", True): "" for _ in range(rng.randint(2, 6))}
            names = {name: name for name in names}
            phrases = {name: [*rng.sample(list(self.values.open_words), 3), name.replace("_", " ")] for name in names}
        elif draw < 0.45 and self.values.neighbours:
            phrases = self._open_themes(rng.randint(2, 9))
            names = {theme: self._label_name(theme, arbitrary) for theme in phrases}
        if len(set(names.values())) < len(names):
            names = {theme: self.values.code() for theme in names}
        head = self._label_instruction(names, phrases)
        return self._sorted(head, names, phrases, n_messages)

    def _open_themes(self, n: int) -> dict[str, list[str]]:
        """Up to `n` words, each with words of related meaning; no word belongs to two of them."""
        themes: dict[str, list[str]] = {}
        used: set[str] = set()
        for theme in self.rng.sample(self.values.words_with_neighbours, min(n, len(self.values.neighbours))):
            close = [word for word in self.values.neighbours[theme] if word not in used]
            if len(close) > 2 and theme not in used:
                themes[theme] = close
                used |= {theme, *close}
        if len(themes) < 2:
            return {theme: list(words_of.THEMES[theme]) for theme in self.rng.sample(sorted(words_of.THEMES), 2)}
        return themes

    def _label_name(self, theme: str, arbitrary: bool) -> str:
        rng = self.rng
        if arbitrary:
            return rng.choice(
                (
                    rng.choice(self.values.open_words),
                    self.values.name().lower(),
                    self.values.code(),
                    rng.choice(words_of.KINDS),
                )
            )
        if rng.random() < 0.4:
            theme = theme.replace("_", " ")
        suffix = rng.choice(("", "", "", "_problem", "_question", " issue", "_request"))
        return rng.choice((theme, theme, theme.upper(), capitalised(theme))) + suffix

    def _label_instruction(self, names: dict[str, str], phrases: dict[str, list[str]]) -> str:
        rng = self.rng
        listed = list(names.values())
        rng.shuffle(listed)
        if rng.random() < 0.35:
            lines = [f"- {name}: {', '.join(rng.sample(phrases[theme], 2))}" for theme, name in names.items()]
            return rng.choice(
                ("Labels:\n", "Which label fits? Answer with the label only.\n", "Choose one:\n")
            ) + "\n".join(lines)
        pattern = rng.choice(
            (
                "Sort each message into one of these labels: {0}.",
                "Classify the message as one of: {0}. Answer with the label only.",
                "Which of {0} is this about? Reply with one label.",
                "Route each request. Labels: {0}.",
                "Answer with exactly one of these labels: {0}.",
            )
        )
        return str(pattern.format(", ".join(listed)))

    def _sorted(self, head: str, names: dict[str, str], phrases: dict[str, list[str]], n_messages: int) -> list[Turn]:
        rng = self.rng
        key = rng.choice(("Message: ", "Question: ", "Question: ", "Text: ", ""))
        turns: list[Turn] = []
        themes = rng.sample(sorted(names), len(names))
        only_shown = n_messages >= 2 * len(names) and rng.random() < 0.3
        if only_shown:
            head = rng.choice(("Do as in the examples.", "Which label belongs to each text?", "Sort these."))
        bare = rng.random() < 0.3
        unsaid: dict[str, list[str]] = {theme: [] for theme in names}
        for i in range(n_messages):
            theme = themes[i] if only_shown and i < len(themes) else rng.choice(themes)
            said, also = self._next(unsaid[theme], phrases[theme]), rng.choice(phrases[theme])
            pattern = rng.choice(("{w}", "{w}, {x}", "{x} {w}")) if bare else rng.choice(words_of.MESSAGES)
            message = capitalised(pattern.replace("{w}", said).replace("{x}", also))
            turns += _exchange((f"{head}\n\n" if i == 0 else "") + key + message, names[theme])
        return turns

    def _next(self, unsaid: list[str], phrases: list[str]) -> str:
        """A phrase not said yet, as long as there is one: a phrase said before would be found without its meaning."""
        if not unsaid:
            unsaid += self.rng.sample(phrases, len(phrases))
        return unsaid.pop()

    def records(self, n_records: int) -> list[Turn]:
        """Values of a text as a JSON object, keys asked for by name."""
        rng = self.rng
        turns: list[Turn] = []
        pattern = rng.choice(
            (
                "Extract {0} as JSON.\n{1}",
                "Return a JSON object with the keys {0}.\n\n{1}",
                "Text: {1}\n\nGive {0} as JSON.",
                "Read the text and fill these fields in JSON: {0}.\n\n{1}",
            )
        )
        fields = [self.attributes.of_thing() for _ in range(rng.randint(2, 7))]
        same_fields = rng.random() < 0.5
        for i in range(n_records):
            passage = self.documents.family(1, rng.randint(12, 40))[0]
            if not same_fields:
                fields = [self.attributes.of_thing() for _ in range(rng.randint(2, 7))]
            stated = self.record_of(fields)
            record: dict[str, str | None] = {key: value for key, value, _ in stated}
            sentences = [sentence for _, _, sentence in stated]
            if rng.random() < 0.3:
                missing = rng.randrange(len(stated))
                record[stated[missing][0]] = None
                del sentences[missing]
            rng.shuffle(sentences)
            text = " ".join([*sentences[:1], *passage.text.split("\n")[:1], *sentences[1:]])
            if same_fields and i:
                asked = text if "{1}" in pattern[-4:] else f"Text: {text}"
            else:
                asked = pattern.format(", ".join(record), text)
            turns += _exchange(asked, json.dumps(record, ensure_ascii=False))
        return turns

    def record_of(self, attributes: Sequence[Attribute]) -> list[tuple[str, str, str]]:
        """(key, value, sentence that states it) of one invented thing; attributes of one name give one key."""
        entity = self.values.entity()
        fields: dict[str, tuple[str, str, str]] = {}
        for attribute in attributes:
            value = self.values.value(attribute.kind, attribute.about)
            key = attribute.nouns[0].replace(" ", "_")
            patterns = attribute.statements or (f"The {attribute.nouns[0]} of {{e}} is {{v}}",)
            said = self.rng.choice(patterns).replace("{e}", entity).replace("{v}", value)
            fields.setdefault(key, (key, value, capitalised(said) + "."))
        return list(fields.values())

    def lookups(self, n_pairs: int) -> list[Turn]:
        """A bare list of pairs, asked by key; the densest signal there is for copying."""
        rng = self.rng
        if rng.random() < 0.25:
            return self._repetitions(n_pairs // 2 + 1)
        draw_key = rng.choice(
            (
                self.values.entity,
                self.values.entity,
                lambda: self.attributes.of_thing().nouns[0],
                lambda: rng.choice(self.values.open_words),
                self.values.name,
            )
        )
        pairs = {draw_key(): self._any_value() for _ in range(n_pairs)}
        line = rng.choice(
            (
                "{k}: {v}",
                "{k} = {v}",
                "{k} is {v}.",
                "{k} has {v}.",
                "{k} - {v}",
                "{v} belongs to {k}.",
                "{v} ({k})",
                "{k} | {v}",
            )
        )
        ask = rng.choice(
            (
                "{k}?",
                "{k}",
                "What is {k}?",
                "What is listed for {k}?",
                "Which value belongs to {k}?",
                "Question: What does {k} have?",
            )
        )
        listed = rng.choice(("\n", "; ", " ", "\n- ")).join(line.format(k=k, v=v) for k, v in pairs.items())
        keys = sorted(pairs)
        rng.shuffle(keys)
        turns: list[Turn] = []
        for i, key in enumerate(keys):
            turns += _exchange((f"{listed}\n\n" if i == 0 else "") + ask.format(k=key), pairs[key])
        return turns

    def _any_value(self) -> str:
        return self.values.value(self.rng.choice(KINDS_OF_VALUE))

    def _repetitions(self, n: int) -> list[Turn]:
        rng = self.rng
        turns: list[Turn] = []
        for _ in range(n):
            draws = (self.values.name, self.values.code, self._any_value, lambda: rng.choice(self.values.open_words))
            text = " ".join(rng.choice(draws)() for _ in range(rng.randint(2, 8)))
            turns += _exchange(rng.choice(("Repeat: ", "Say this again: ", "Copy the text: ", "Echo ")) + text, text)
        return turns

    def closed_book(self, n_questions: int) -> list[Turn]:
        """Questions about invented things without any text: not known, unless an earlier turn has told."""
        rng = self.rng
        instruction = rng.choice(words_of.INSTRUCTIONS)
        told = rng.random() < 0.4
        turns: list[Turn] = []
        known: list[tuple[str, str]] = []
        for i in range(n_questions):
            attribute, entity = self.attributes.of_thing(), self.values.entity()
            head = f"{instruction}\n\n" if i == 0 else ""
            if told and known and rng.random() < 0.4:
                question, answer = rng.choice(known)
            elif told and i < n_questions - 1 and rng.random() < 0.7:
                question, answer = question_about(attribute, entity, rng), self.values.value(attribute.kind)
                known.append((question_about(attribute, entity, rng), answer))
            else:
                question, answer = question_about(attribute, entity, rng), ABSTENTION
            turns += _exchange(f"{head}Question: {question}", answer)
        return turns

    def patterns(self, n_examples: int) -> list[Turn]:
        """A mapping that only the worked examples show, applied again and again."""
        rng = self.rng
        names = words_of.FIRST_NAMES

        def words(k: int) -> list[str]:
            return [rng.choice(self.values.open_words) for _ in range(k)]

        position, width = rng.choice((0, -1, 1)), rng.randint(2, 4)
        prefix = rng.choice(("id_", "The ", "no ", "#", "very "))
        shape = rng.randrange(6)
        turns: list[Turn] = []
        for i in range(n_examples):
            listed = words(width)
            if shape == 0:
                source, target = ", ".join(listed), listed[position]
            elif shape == 1:
                source = f"{rng.choice(names)} {self.values.name()}"
                target = source.split()[position]
            elif shape == 2:
                source, target = listed[0], prefix + listed[0]
            elif shape == 3:
                source, target = " ".join(listed), "_".join(listed)
            elif shape == 4:
                value = self._any_value()
                source, target = f"{rng.choice(names)} {rng.choice(self.values.open_words)} {value}", value
            else:
                source, target = " ".join(listed), " ".join(reversed(listed[:2]))
            head = rng.choice(("", "Do the same.\n\n", "Follow the examples.\n\n")) if i == 0 else ""
            turns += _exchange(f"{head}Question: {source}", target)
        return turns
