"""The generator: endless seeded training conversations, each a list of (role, text) turns."""

import random

from lm.pocket import vocabulary as words_of
from lm.pocket.attributes import AttributeSource, read_attributes
from lm.pocket.clauses import ClauseSource
from lm.pocket.documents import DocumentSource
from lm.pocket.passages import ABSTENTION, Fact, Passage, question_about
from lm.pocket.real_text import RealText, contexts_by_title, questions_from
from lm.pocket.tasks import TaskSource, Turn
from lm.pocket.twins import withheld_from
from lm.pocket.values import Values

ABSTENTION_SHARE = 0.22
"""Part of the reading questions whose answer is the abstention."""
TWIN_SHARE = 0.4
"""Part of the reading conversations less some answers, whose unshortened twin follows some conversations later."""
_LAYOUTS = ("[{i}] {p}", "[{i}] {p}", "Passage {i}: {p}", "- {p}", "{p}", "Document {i}:\n{p}", "({i}) {p}")
_HEADS = ("", "", "Context:\n", "Passages:\n", "Read this:\n", "Here is what we know.\n\n")


class ConversationSource:
    """Draws conversations of all kinds.

    Args:
        seed: equal seeds and equal texts give equal conversations.
        real: the real prose.
    """

    def __init__(self, seed: int, real: RealText) -> None:
        self.rng = random.Random(seed)
        self.real = real
        open_words = real.open_words
        self.values = Values(self.rng, open_words, real.neighbours)
        clauses = ClauseSource(self.rng, self.values, open_words)
        self.attributes = AttributeSource(self.rng, self.values, clauses.attribute, read_attributes())
        self.documents = DocumentSource(self.rng, self.values, self.attributes, real.sentences)
        self.tasks = TaskSource(self.rng, self.values, self.attributes, self.documents)
        self._by_title = contexts_by_title(real.contexts)
        self._twins: list[list[Turn]] = []

    def conversation(self, stage: int, max_words: int) -> list[Turn]:
        """One conversation.

        Args:
            stage: 0 (short, mostly lists to copy from), 1 or 2 (long passages).
            max_words: about how many words the passages of one prompt may have together.
        """
        rng = self.rng
        if len(self._twins) > 3 and rng.random() < 0.35:
            return self._twins.pop(rng.randrange(len(self._twins)))
        draw = rng.random()
        if rng.random() < (0.30, 0.06, 0.02)[stage]:
            return self.tasks.lookups(rng.randint(3, (8, 12, 16)[stage]))
        if draw < 0.14:
            return self.tasks.labels(rng.randint(6, max(7, min(24, max_words // 12))))
        if draw < 0.18:
            return self.tasks.records(rng.randint(1, max(1, min(5, max_words // 60))))
        if draw < 0.21:
            return self.tasks.closed_book(rng.randint(2, 7))
        if draw < 0.24:
            return self.tasks.patterns(rng.randint(3, 8))
        reading = rng.random()
        if reading < (0.85, 0.60, 0.57)[stage]:
            return self.invented_reading(*self._shape(stage, max_words))
        if reading < (0.92, 0.81, 0.81)[stage] and self.real.contexts:
            return self.context_reading(max(1, min(4, max_words // 130)))
        return self.paragraph_reading(max(1, min(rng.randint(1, 6), max_words // 60)))

    def _shape(self, stage: int, max_words: int) -> tuple[int, int]:
        """Number of passages and words in each."""
        rng = self.rng
        n_passages = rng.randint(1, (2, 4, 5)[stage])
        n_words = rng.randint(*((8, 22), (15, 90), (25, 170))[stage])
        return n_passages, max(12, min(n_words, max_words // n_passages))

    def invented_reading(self, n_passages: int, n_words: int) -> list[Turn]:
        """Invented documents with real sentences between the facts."""
        return self._twinned(self.documents.family(n_passages, n_words), self._foreign())

    def context_reading(self, n_passages: int) -> list[Turn]:
        """Encyclopaedia paragraphs with people's questions; other paragraphs of the article as distractors."""
        rng = self.rng
        contexts = self.real.contexts
        first = contexts[rng.randrange(len(contexts))]
        related = [contexts[i] for i in self._by_title.get(first.title, ()) if contexts[i] is not first]
        chosen = [first]
        while len(chosen) < rng.randint(1, n_passages):
            other = rng.choice(related) if related and rng.random() < 0.5 else contexts[rng.randrange(len(contexts))]
            if other not in chosen:
                chosen.append(other)
        passages = []
        for context in chosen:
            facts = [Fact(lambda q=q: q, a) for q, a in context.questions if a]  # type: ignore[misc]
            absent = [Fact(lambda q=q: q, ABSTENTION) for q, a in context.questions if not a]  # type: ignore[misc]
            passages.append(Passage(context.title, context.text, facts, absent if len(chosen) == 1 else []))
        elsewhere = contexts[rng.randrange(len(contexts))]
        foreign = [Fact(lambda q=q: q, ABSTENTION) for q, _ in elsewhere.questions[:2] if elsewhere not in chosen]  # type: ignore[misc]
        return self._twinned(passages, foreign)

    def paragraph_reading(self, n_passages: int) -> list[Turn]:
        """General paragraphs, several joined into one passage, with questions made from their sentences."""
        rng = self.rng
        passages, foreign = [], []
        for _ in range(n_passages):
            title, text = rng.choice(self.real.paragraphs)
            made = questions_from(title, text, rng)
            if rng.random() < 0.3:
                text = f"{text} {rng.choice(self.real.paragraphs)[1]}"
            passages.append(Passage(title, text, [Fact(lambda q=q: q, a) for q, a in made]))  # type: ignore[misc]
        for _ in range(3):
            title, text = rng.choice(self.real.paragraphs)
            foreign += [Fact(lambda q=q: q, ABSTENTION) for q, _ in questions_from(title, text, rng)[:1]]  # type: ignore[misc]
        return self._twinned(passages, foreign)

    def _twinned(self, passages: list[Passage], foreign: list[Fact]) -> list[Turn]:
        """Questions on the passages, or on their twins; then those on the passages themselves are kept for later."""
        rng = self.rng
        if rng.random() < TWIN_SHARE:
            shortened = withheld_from(passages, rng, rng.randint(1, len(passages) + 1))
            if any(passage.withheld for passage in shortened):
                self._twins.append(self._reading(passages, self._balanced(passages, foreign)))
                passages = shortened
        return self._reading(passages, self._balanced(passages, foreign))

    def _foreign(self) -> list[Fact]:
        """A question about something that is in no passage."""
        attribute, entity = self.attributes.of_thing(), self.values.entity()
        return [Fact(lambda: question_about(attribute, entity, self.rng), "")] if self.rng.random() < 0.4 else []

    def _balanced(self, passages: list[Passage], foreign: list[Fact]) -> list[Fact]:
        """Facts in random order with the due share of unanswerable questions among them."""
        rng = self.rng
        facts = [fact for p in passages for fact in p.facts]
        withheld = [fact for p in passages for fact in p.withheld]
        near = [fact for p in passages for fact in p.absent]
        far = [Fact(fact.ask, ABSTENTION) for fact in foreign]
        rng.shuffle(withheld)
        rng.shuffle(near)
        pool = [*near[:6], *far] if rng.random() < 0.75 else [*far, *near]
        pool = [*withheld, *pool] if rng.random() < 0.8 else [*pool, *withheld]
        wanted = len(facts) * ABSTENTION_SHARE / (1 - ABSTENTION_SHARE)
        n_unanswerable = max(int(wanted) + (rng.random() < wanted % 1), not facts)
        chosen = [*facts, *pool[:n_unanswerable]]
        rng.shuffle(chosen)
        return chosen

    def _reading(self, passages: list[Passage], facts: list[Fact]) -> list[Turn]:
        rng = self.rng
        if not facts:
            return self.tasks.closed_book(3)
        turns: list[Turn] = [("system", rng.choice(words_of.SYSTEM_PROMPTS))] if rng.random() < 0.12 else []
        instruction = rng.choice(words_of.INSTRUCTIONS)
        if rng.random() < 0.08:
            for _ in range(rng.randint(1, 4)):
                (_, question), (_, answer) = self.tasks.closed_book(1)[:2]
                turns += [("user", question), ("assistant", answer)]
        shuffled = passages[:]
        rng.shuffle(shuffled)
        for i, fact in enumerate(facts):
            question = fact.ask()
            asked = f"Question: {question}" if rng.random() < 0.85 else question
            turns.append(("user", self._prompt(instruction, shuffled, question) if i == 0 else asked))
            turns.append(("assistant", fact.answer))
        return turns

    def _prompt(self, instruction: str, passages: list[Passage], question: str) -> str:
        """The user turn: mostly instruction, numbered passages and question, the project's layout."""
        rng = self.rng
        if rng.random() < 0.7:
            body = "\n\n".join(f"[{i}] {p.titled_text}" for i, p in enumerate(passages, 1))
            head = f"{instruction}\n\n" if rng.random() < 0.92 else ""
            return f"{head}{body}\n\nQuestion: {question}"
        line = rng.choice(_LAYOUTS)
        shown = [p.titled_text if rng.random() < 0.5 else p.text for p in passages]
        body = rng.choice(("\n", "\n\n")).join(line.format(i=i, p=p) for i, p in enumerate(shown, 1))
        head = rng.choice((*_HEADS, f"{instruction}\n\n"))
        if rng.random() < 0.2:
            return f"Question: {question}\n\n{head}{body}"
        return f"{head}{body}\n\n" + (f"Question: {question}" if rng.random() < 0.75 else question)
