"""Held-out evaluation items: attributes, wordings, kinds of things, names, themes and prose never trained on."""
# ruff: noqa: SIM905 - lists of words and sentences are easier to read and to extend as text

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lm.pocket.attributes import Attribute, read_attributes
from lm.pocket.passages import ABSTENTION, capitalised
from lm.pocket.values import Values

LINES = Path(__file__).with_name("held_out.txt")
WRITTEN = Path(__file__).with_name("held_out.json")
INSTRUCTION = "Answer the question in a few words. If you do not know the answer, say: I don't know."
KINDS = (
    "heron colony;schooner;choir;reef;orchard;lighthouse;regiment;comet;brewery;falcon;quarry;monument;tapestry;canal;"
    "vineyard;observatory"
).split(";")
_NAME_STARTS = "Wren Oak Ash Thistle Marl Fen Bram Holl Kest Lark Sedge Rook Alder Hawk".split()
_NAME_ENDS = "field combe mere wick stead ridge low garth ness thorpe".split()
_WORDS = "anchor basket candle feather hammer kettle lantern mirror needle pebble ribbon saddle trumpet violin".split()
FILLERS = (
    "Old photographs show how little has altered here.|Weather can turn quickly, so plan ahead.|"
    "Volunteers look after {e} in their spare time.|Nobody is quite sure how the custom began.|"
    "Children enjoy hearing about {e}.|A leaflet tells the whole story.|Prices and times were checked before printing.|"
    "{e} drew a large crowd last season.|Local papers wrote about it at length.|"
    "The wardens keep a careful record of everything.|"
    "For those who have never been, the walk up is half of the pleasure.|"
    "What people remember afterwards is mostly the light, and the quiet once the others have gone home."
).split("|")
_MESSAGES = (
    "Could someone tell me about {w}?|It is {w} again, I am afraid.|"
    "{w} - what would you do?|My brother keeps asking about {w}."
).split("|")


@dataclass(frozen=True)
class Item:
    """A prompt of (role, text) turns ending with the user's, and the answers that count as right."""

    turns: tuple[tuple[str, str], ...]
    answers: tuple[str, ...]


def reading_turn(passages: Sequence[str], question: str, instruction: str = INSTRUCTION) -> tuple[str, str]:
    """Instruction, numbered passages, question: the layout of the project's prompts."""
    numbered = [f"[{i}] {passage}" for i, passage in enumerate(passages, 1)]
    return "user", "\n\n".join([instruction, *numbered, f"Question: {question}"])


class HeldOutSource:
    """Draws reading items about things no training conversation has spoken of."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.values = Values(self.rng, _WORDS)
        lines = read_attributes(LINES)
        self.attributes = [a for a in lines if a.nouns]

    def item(self, n_passages: int, *, answerable: bool, n_words: int = 90) -> Item:
        """One question over passages about different things that share attributes.

        Args:
            n_passages: passages in the prompt.
            answerable: if not, the attribute asked for is stated of the other things only, or of none.
            n_words: about how long a passage is.
        """
        shared = self.rng.sample(self.attributes, 4)
        asked = shared[0]
        entities: list[str] = []
        while len(entities) < n_passages:
            entity = self.entity()
            if entity not in entities:
                entities.append(entity)
        target = self.rng.randrange(n_passages)
        answer, passages = ABSTENTION, []
        for i, entity in enumerate(entities):
            stated = shared if answerable or i != target else shared[1:]
            values = {a: self.values.value(a.kind) for a in stated}
            if i == target and answerable:
                answer = values[asked]
            passages.append(self.passage(entity, values, n_words))
        question = self.rng.choice(asked.questions).replace("{e}", entities[target])
        return Item((reading_turn(passages, capitalised(question)),), (answer,))

    def entity(self) -> str:
        """A thing of a kind and a name that training has not."""
        name = self.rng.choice(_NAME_STARTS) + self.rng.choice(_NAME_ENDS)
        kind = self.rng.choice(KINDS)
        return self.rng.choice((f"the {name} {kind}", f"{name}", f"the {kind} of {name}"))

    def passage(self, entity: str, values: Mapping[Attribute, str], n_words: int) -> str:
        """A titled text of about `n_words` words that states each value in a sentence."""
        rng = self.rng
        sentences = []
        for attribute, value in values.items():
            said = rng.choice(attribute.statements).replace("{e}", entity).replace("{v}", value)
            sentences.append(capitalised(said) + ".")
        fillers = list(FILLERS)
        rng.shuffle(fillers)
        while fillers and sum(len(s.split()) for s in sentences) < n_words:
            sentences.append(capitalised(fillers.pop().replace("{e}", entity)))
        rng.shuffle(sentences)
        return f"{capitalised(entity.removeprefix('the '))}: {' '.join(sentences)}"


def written_items(n_passages: int, seed: int = 0) -> list[Item]:
    """All questions on the hand-written prose, each with its document among `n_passages`."""
    documents = json.loads(WRITTEN.read_text(encoding="utf-8"))["documents"]
    rng = random.Random(seed)
    items = []
    for i, document in enumerate(documents):
        others = documents[:i] + documents[i + 1 :]
        for question, answer in document["questions"]:
            chosen = [document, *rng.sample(others, n_passages - 1)]
            rng.shuffle(chosen)
            items.append(Item((reading_turn([_titled(d) for d in chosen], question),), (answer,)))
    return items


def written_unanswerable_items(n_passages: int, seed: int = 0) -> list[Item]:
    """Questions that none of the hand-written documents answers."""
    written = json.loads(WRITTEN.read_text(encoding="utf-8"))
    rng = random.Random(seed)
    return [
        Item(
            (reading_turn([_titled(d) for d in rng.sample(written["documents"], n_passages)], question),), (ABSTENTION,)
        )
        for question in written["unanswerable"]
    ]


def closed_book_items(n: int, seed: int = 0) -> list[Item]:
    """Questions about invented things without any passage."""
    source = HeldOutSource(seed)
    items = []
    for _ in range(n):
        question = source.rng.choice(source.rng.choice(source.attributes).questions).replace("{e}", source.entity())
        items.append(Item((reading_turn((), capitalised(question)),), (ABSTENTION,)))
    return items


def label_items(n: int, n_examples: int, seed: int = 0) -> list[Item]:
    """Messages to sort into four themes, after `n_examples` worked examples that use other phrases.

    Item i asks for the same message whatever `n_examples` is, so that numbers of examples can be compared pairwise.
    """
    themes = json.loads(WRITTEN.read_text(encoding="utf-8"))["themes"]
    items = []
    for i in range(n):
        rng = random.Random(f"{seed} {i}")
        chosen = rng.sample(sorted(themes), 4)
        phrases = {label: rng.sample(themes[label], len(themes[label])) for label in chosen}
        asked = rng.choice(chosen)
        asked_message = _message(phrases[asked].pop(), rng)
        head = f"Sort each message into one of these labels: {', '.join(chosen)}.\n\n"
        labels = [chosen[k % len(chosen)] for k in range(n_examples)]
        rng.shuffle(labels)
        shown = [(_message(phrases[label].pop(), rng), label) for label in labels]
        turns: list[tuple[str, str]] = []
        for message, label in [*shown, (asked_message, asked)]:
            turns += [("user", f"{head if not turns else ''}Question: {message}"), ("assistant", label)]
        items.append(Item(tuple(turns[:-1]), (turns[-1][1],)))
    return items


def _message(phrase: str, rng: random.Random) -> str:
    return capitalised(rng.choice(_MESSAGES).replace("{w}", phrase))


def _titled(document: dict[str, str]) -> str:
    return f"{document['title']}: {document['text']}"
