"""Questions made from documents by a language model, each checked before it is kept.

A question is kept where its answer is a span of its passage, where retrieval finds the passage for it, and where the
model gives that answer again when it is shown the passage. What is dropped is counted by the reason. Questions made
like this are easier than people's, since their words come from the passage: they are marked for ever.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from advisor.data.dataset import Document, Example, Split
from advisor.data.leaks import near_duplicates
from advisor.data.normalisation import is_abstention, mostly_unspaced, normalise, tokens
from advisor.data.prompt import passage_text, question_turn
from advisor.metrics.containment import contains_any
from advisor.metrics.text import bag_f1
from lm.completion import GenerationConfig, Message, Messages, Role
from lm.embedding import Embedder
from lm.errors import ConfigError
from lm.language_model import LanguageModel
from rag.chunk import Chunk, Chunking, chunk_document

MAX_ANSWER_TOKENS = 12
FOUND_WITHIN = 5
"""A question's passage must be among so many that retrieval finds for it."""

_ALIKE_F1 = 0.6
_NEAREST_SENTENCES = 2
"""The sentence that was asked about must be among so many that are nearest to the question in its passage."""
_MIN_PASSAGE_CHARACTERS = 80
_MIN_SENTENCE_CHARACTERS = 25
_BATCH = 32
_ASKED_PER_WANTED = 12
_SENTENCE = re.compile(r"[^\n]+?(?:[.!?]+(?=\s|$)|[。！？။।]+|$)", flags=re.MULTILINE)
_NUMBER = re.compile(r"\d+")
_QUESTION_MARKS = "?？؟;"
_SPEAKS_OF_TEXT = re.compile(r"\b(?:text|passage|sentence|paragraph|excerpt|mentioned|above)\b", flags=re.IGNORECASE)
_REPLY = re.compile(r"question\s*:\s*(.+?)\s*\n+\s*answer\s*:\s*([^\n]+)", flags=re.IGNORECASE | re.DOTALL)

_ASK = (
    "Write one question that someone who has not seen the text could ask and that this sentence of it answers. Then "
    "copy the answer word for word from the sentence, in at most 8 words. Write in the language of the text."
)
_EXAMPLE = (
    "Title: Aria 300 kettle\nText: The Aria 300 is our smallest kettle. It holds 0.8 litres and boils in two minutes.\n"
    "Sentence: It holds 0.8 litres and boils in two minutes.",
    "Question: How much water does the Aria 300 kettle hold?\nAnswer: 0.8 litres",
)
_REWORD = "Ask the same in other words, in the same language. Write the question alone."
_REWORD_EXAMPLE = (
    "How much water does the Aria 300 kettle hold?",
    "What is the capacity of the Aria 300 kettle?",
)
_JOIN = "Write one question that asks both of these at once, in their language. Write the question alone."
_JOIN_EXAMPLE = (
    "How much water does the Aria 300 kettle hold?\nHow long is the Vento toaster's warranty?",
    "How much water does the Aria 300 kettle hold, and how long is the Vento toaster's warranty?",
)
_ANSWER = "Answer the question from the passages in a few words, copied from them."


@dataclass(frozen=True, slots=True)
class MadeQuestion:
    """A question with what its answer was taken from.

    Attributes:
        answers: Accepted references; () where its passage was taken away.
        passages: Document and place, `text[start:end]` of it as given, of each passage that answers it.
    """

    question: str
    answers: tuple[str, ...]
    group: str
    passages: tuple[tuple[str, int, int], ...]

    @property
    def document_ids(self) -> tuple[str, ...]:
        """Documents that answer it."""
        return tuple(dict.fromkeys(name for name, _, _ in self.passages)) if self.answers else ()

    @property
    def kind(self) -> str:
        """What it takes to answer it."""
        if not self.answers:
            return "unanswerable"
        return "on two documents" if len(self.passages) > 1 else "answerable"


@dataclass(frozen=True)
class MadeQuestions:
    """What was made.

    Attributes:
        documents: As given, but for passages taken away.
        dropped: How many questions were dropped, by the reason.
        n_asked: Questions the model was asked to write, rewordings and joint ones included.
    """

    documents: tuple[Document, ...]
    questions: tuple[MadeQuestion, ...]
    dropped: Mapping[str, int]
    n_asked: int

    @property
    def kinds(self) -> dict[str, int]:
        """How many questions there are of each kind."""
        return dict(Counter(one.kind for one in self.questions))


def make_questions(
    documents: Sequence[Document],
    model: LanguageModel,
    embedder: Embedder,
    *,
    n_facts: int = 100,
    n_rewordings: int = 1,
    unanswerable_share: float = 0.1,
    joint_share: float = 0.1,
    seed: int = 0,
    chunking: Chunking | None = None,
    on_progress: Callable[[int, int], None] = lambda n_kept, n_wanted: None,
) -> MadeQuestions:
    """Ask the model for questions, document after document in turn, until enough are kept or nothing is left to ask of.

    Args:
        n_facts: Facts to ask about, each in `1 + n_rewordings` wordings where the model finds them.
        unanswerable_share: Of the facts, taken out of the documents so that nothing answers them.
        joint_share: Of the facts, questions that need two documents, made besides.
        on_progress: Given the facts kept so far and those wanted, after every batch that the model answered.

    Raises:
        ConfigError: no passage is long enough to ask about.
    """
    chunking = chunking or Chunking()
    chunks = [
        chunk
        for document in documents
        for chunk in chunk_document(document, chunking=chunking, count_tokens=embedder.count_tokens)
    ]
    places = list(_places(chunks, seed))
    if not places:
        raise ConfigError("the documents hold no passage long enough to ask about; give longer ones")
    maker = _Maker(model, embedder, chunks)
    facts: list[MadeQuestion] = []
    most = _ASKED_PER_WANTED * n_facts
    for start in range(0, min(len(places), most), _BATCH):
        facts = maker.without_twins(facts + maker.ask(places[start : start + _BATCH]))[:n_facts]
        on_progress(len(facts), n_facts)
        if len(facts) >= n_facts:
            break
    facts = [replace(fact, group=f"fact-{i:04d}") for i, fact in enumerate(facts)]
    removed = maker.removable(facts, round(unanswerable_share * len(facts)))
    kept = [replace(fact, answers=()) if fact.group in removed else fact for fact in facts]
    reworded = [one for _ in range(n_rewordings) for one in maker.reword(kept)]
    joint = maker.join([fact for fact in kept if fact.answers], round(joint_share * len(facts)))
    questions = maker.without_same_words([*kept, *reworded, *joint])
    taken = [passage for fact in facts if fact.group in removed for passage in fact.passages]
    return MadeQuestions(_without(documents, taken), tuple(questions), dict(maker.dropped), maker.n_asked)


def find_span(answer: str, text: str) -> tuple[int, int] | None:
    """Where an answer stands in a text, letter case and white space aside, as whole words; None where it does not."""
    words = answer.strip().strip("\"'“”„«»").rstrip(".。။।").split()
    if not words:
        return None
    pattern = r"\s+".join(map(re.escape, words))
    edge = "" if mostly_unspaced(answer) else r"(?<!\w)"
    end = "" if mostly_unspaced(answer) else r"(?!\w)"
    match = re.search(f"{edge}{pattern}{end}", text, flags=re.IGNORECASE)
    return match.span() if match else None


def fault_of(question: str, answer: str, source: str = "") -> str:
    """What speaks against a question by its words alone; "" where nothing does.

    Args:
        source: What the question is on, title included; "" if that is not to be compared.
    """
    unspaced = mostly_unspaced(question)
    if not unspaced and not question.rstrip().endswith(tuple(_QUESTION_MARKS)):
        return "no question"
    if len(tokens(question)) < 4 or len(question) > 300:
        return "too short or too long"
    if answer and contains_any(question, [answer]):
        return "the question gives the answer"
    if _SPEAKS_OF_TEXT.search(question):
        return "it speaks of the text"
    # Weak models put numbers of their own, or of the worked example, into questions.
    if source and not set(_NUMBER.findall(question)) <= set(_NUMBER.findall(source)):
        return "it names a number that the passage does not"
    return ""


@dataclass(frozen=True, slots=True)
class _Place:
    """A sentence of a passage."""

    chunk: Chunk
    sentence: str


def _places(chunks: Sequence[Chunk], seed: int) -> Iterator[_Place]:
    """One sentence of each document in turn, so that few questions are spread over many documents."""
    draw = random.Random(seed)
    of_document: dict[str, list[list[_Place]]] = defaultdict(list)
    for chunk in chunks:
        if len(chunk.text) >= _MIN_PASSAGE_CHARACTERS:
            places = [_Place(chunk, one) for one in _sentences(chunk.text) if len(one) >= _MIN_SENTENCE_CHARACTERS]
            draw.shuffle(places)
            if places:
                of_document[chunk.document_id].append(places)
    queues = []
    for passages in of_document.values():
        draw.shuffle(passages)
        # One sentence of each passage, then the next of each.
        longest = max(map(len, passages))
        queues.append([places[i] for i in range(longest) for places in passages if i < len(places)])
    draw.shuffle(queues)
    for i in range(max(map(len, queues), default=0)):
        yield from (queue[i] for queue in queues if i < len(queue))


def _sentences(text: str) -> list[str]:
    return [one for found in _SENTENCE.finditer(text) if (one := found.group().strip())]


@dataclass
class _Maker:
    """Asks the model, and counts what is dropped."""

    model: LanguageModel
    embedder: Embedder
    chunks: Sequence[Chunk]
    dropped: Counter[str] = field(default_factory=Counter)
    n_asked: int = 0

    def __post_init__(self) -> None:
        self._vectors = self.embedder.embed([chunk.embedded_text for chunk in self.chunks])
        self._numbers = {chunk.id: i for i, chunk in enumerate(self.chunks)}
        self._chunk_of = {(chunk.document_id, chunk.start, chunk.end): chunk for chunk in self.chunks}

    def ask(self, places: Sequence[_Place]) -> list[MadeQuestion]:
        """The questions on these sentences that are kept."""
        self.n_asked += len(places)
        replies = self._generate(
            [
                _turns(
                    _ASK,
                    _EXAMPLE,
                    f"{_shown(one.chunk)}\nSentence: {one.sentence}",
                )
                for one in places
            ],
            96,
        )
        made: list[tuple[str, str, _Place]] = []
        for place, reply in zip(places, replies, strict=True):
            parsed = _REPLY.search(reply)
            if parsed is None:
                self.dropped["not in the asked form"] += 1
                continue
            question, said = " ".join(parsed[1].split()), parsed[2].strip()
            span = find_span(said, place.chunk.text)
            answer = place.chunk.text[slice(*span)] if span else ""
            why = "" if span else "the answer is not in the passage"
            if not why and (len(tokens(answer)) > MAX_ANSWER_TOKENS or is_abstention(answer)):
                why = "the answer is too long"
            if why := why or fault_of(question, answer, _shown(place.chunk)):
                self.dropped[why] += 1
            else:
                made.append((question, answer, place))
        found = self._found([(question, answer, place.chunk) for question, answer, place in self._on_sentence(made)])
        return [
            MadeQuestion(question, (answer,), "", ((chunk.document_id, chunk.start, chunk.end),))
            for question, answer, chunk in self._answered_alike(found)
        ]

    def reword(self, questions: Sequence[MadeQuestion]) -> list[MadeQuestion]:
        """Other wordings of questions, in the same groups."""
        self.n_asked += len(questions)
        replies = self._generate([_turns(_REWORD, _REWORD_EXAMPLE, one.question) for one in questions], 64)
        kept = []
        for one, reply in zip(questions, replies, strict=True):
            question = _first_line(reply)
            chunk = self._chunk_of[one.passages[0]]
            if why := fault_of(question, one.answers[0] if one.answers else "", f"{_shown(chunk)}\n{one.question}"):
                self.dropped[f"rewording: {why}"] += 1
            elif normalise(question) == normalise(one.question):
                self.dropped["rewording: the same words"] += 1
            else:
                kept.append((replace(one, question=question), chunk))
        found = self._ranks([one.question for one, _ in kept])
        sound = []
        for (one, chunk), ranks in zip(kept, found, strict=True):
            if self._numbers[chunk.id] in ranks[:FOUND_WITHIN]:
                sound.append(one)
            else:
                self.dropped["rewording: its passage is not found"] += 1
        return sound

    def join(self, facts: Sequence[MadeQuestion], n_wanted: int) -> list[MadeQuestion]:
        """Questions that need two documents, of the nearest facts of different ones."""
        pairs = list(self._pairs(facts, n_wanted))
        self.n_asked += len(pairs)
        replies = self._generate([_turns(_JOIN, _JOIN_EXAMPLE, f"{a.question}\n{b.question}") for a, b in pairs], 96)
        kept = []
        for (a, b), reply in zip(pairs, replies, strict=True):
            question = _first_line(reply)
            answers = a.answers[0], b.answers[0]
            asked = f"{a.question}\n{b.question}"
            why = fault_of(question, answers[0], asked) or fault_of(question, answers[1], asked)
            if not why and normalise(question) in (normalise(a.question), normalise(b.question)):
                why = "it asks one of the two alone"
            if why:
                self.dropped[f"joint: {why}"] += 1
                continue
            joined = (f"{answers[0]} and {answers[1]}", f"{answers[1]} and {answers[0]}", "; ".join(answers))
            kept.append(MadeQuestion(question, joined, f"{a.group}+{b.group}", a.passages + b.passages))
        sound = []
        for one, ranks in zip(kept, self._ranks([one.question for one in kept]), strict=True):
            documents = {self.chunks[i].document_id for i in ranks[: 2 * FOUND_WITHIN]}
            if set(one.document_ids) <= documents:
                sound.append(one)
            else:
                self.dropped["joint: its passages are not found"] += 1
        return sound

    def removable(self, facts: Sequence[MadeQuestion], n_wanted: int) -> frozenset[str]:
        """Groups of facts whose passage can be taken away: no other fact needs it, and no other passage answers them.

        Of a document one passage at most is taken, and never its only one.
        """
        n_passages = Counter(chunk.document_id for chunk in self.chunks)
        n_facts = Counter(fact.passages[0] for fact in facts)
        taken: dict[str, str] = {}
        ranks = self._ranks([fact.question for fact in facts])
        for fact, nearest in zip(facts, ranks, strict=True):
            document_id, start, end = fact.passages[0]
            others = [self.chunks[i] for i in nearest[: 2 * FOUND_WITHIN]]
            others = [one for one in others if (one.document_id, one.start, one.end) != (document_id, start, end)]
            if (
                len(taken) < n_wanted
                and n_passages[document_id] > 1
                and n_facts[fact.passages[0]] == 1
                and document_id not in taken
                and not any(contains_any(one.text, fact.answers) for one in others)
            ):
                taken[document_id] = fact.group
        return frozenset(taken.values())

    def without_twins(self, questions: Sequence[MadeQuestion]) -> list[MadeQuestion]:
        """The questions without those that are worded nearly as an earlier one."""
        examples = [
            Example(str(i), one.question, one.answers, (), str(i), Split.TEST) for i, one in enumerate(questions)
        ]
        twins = {int(later.id) for _, later in near_duplicates(examples)}
        self.dropped["nearly the same as another"] += len(twins)
        return [one for i, one in enumerate(questions) if i not in twins]

    def without_same_words(self, questions: Sequence[MadeQuestion]) -> list[MadeQuestion]:
        """The questions, each wording once."""
        by_wording: dict[str, MadeQuestion] = {}
        for one in questions:
            by_wording.setdefault(normalise(one.question), one)
        self.dropped["nearly the same as another"] += len(questions) - len(by_wording)
        return list(by_wording.values())

    def _on_sentence(self, made: Sequence[tuple[str, str, _Place]]) -> list[tuple[str, str, _Place]]:
        """Those that are on the sentence which was asked about, as the embedder sees it."""
        if not made:
            return []
        sentences = [_sentences(place.chunk.text) for _, _, place in made]
        vectors = self.embedder.embed([one for of_passage in sentences for one in of_passage])
        questions = self.embedder.embed([question for question, _, _ in made])
        ends = np.cumsum([len(of_passage) for of_passage in sentences])
        kept = []
        for one, vector, of_passage, rows in zip(made, questions, sentences, np.split(vectors, ends[:-1]), strict=True):
            nearest = np.argsort(-(rows @ vector), kind="stable")[:_NEAREST_SENTENCES]
            if one[2].sentence in [of_passage[i] for i in nearest]:
                kept.append(one)
        self.dropped["it is on another sentence"] += len(made) - len(kept)
        return kept

    def _found(self, made: Sequence[tuple[str, str, Chunk]]) -> list[tuple[str, str, Chunk]]:
        """Those whose passage retrieval finds."""
        ranks = self._ranks([question for question, _, _ in made])
        kept = [one for one, near in zip(made, ranks, strict=True) if self._numbers[one[2].id] in near[:FOUND_WITHIN]]
        self.dropped["its passage is not found"] += len(made) - len(kept)
        return kept

    def _answered_alike(self, made: Sequence[tuple[str, str, Chunk]]) -> list[tuple[str, str, Chunk]]:
        """Those that the model answers alike when it is shown the passage."""
        prompts: list[Messages] = [
            (question_turn(_ANSWER, question, [passage_text(chunk.passage_title, chunk.text)]),)
            for question, _, chunk in made
        ]
        kept = [
            one
            for one, reply in zip(made, self._generate(prompts, 48), strict=True)
            if contains_any(reply, [one[1]]) or bag_f1(tokens(reply), tokens(one[1])) >= _ALIKE_F1
        ]
        self.dropped["answered otherwise with its passage"] += len(made) - len(kept)
        return kept

    def _pairs(self, facts: Sequence[MadeQuestion], n_wanted: int) -> Iterator[tuple[MadeQuestion, MadeQuestion]]:
        if n_wanted == 0 or len(facts) < 2:
            return
        vectors = self.embedder.embed([fact.question for fact in facts])
        near = vectors @ vectors.T
        used: set[int] = set()
        for i, fact in enumerate(facts):
            if i in used or len(used) >= 2 * n_wanted:
                continue
            for j in map(int, np.argsort(-near[i], kind="stable")):
                if j not in used and j != i and not set(fact.document_ids) & set(facts[j].document_ids):
                    used |= {i, j}
                    yield fact, facts[j]
                    break

    def _ranks(self, questions: Sequence[str]) -> NDArray[np.intp]:
        """Numbers of the passages, nearest first, shape (n_questions, n_chunks)."""
        if not questions:
            return np.zeros((0, len(self.chunks)), dtype=np.intp)
        return np.argsort(-(self.embedder.embed(questions) @ self._vectors.T), axis=1, kind="stable")

    def _generate(self, prompts: Sequence[Messages], max_output_tokens: int) -> list[str]:
        if not prompts:
            return []
        config = GenerationConfig(max_output_tokens=max_output_tokens)
        return [completion.text for completion in self.model.generate(prompts, config)]


def _turns(instruction: str, example: tuple[str, str], said: str) -> Messages:
    first, reply = example
    return (
        Message(Role.USER, f"{instruction}\n\n{first}"),
        Message(Role.ASSISTANT, reply),
        Message(Role.USER, f"{instruction}\n\n{said}"),
    )


def _shown(chunk: Chunk) -> str:
    return f"Title: {chunk.passage_title}\nText: {chunk.text}"


def _first_line(reply: str) -> str:
    line = next((line for line in reply.splitlines() if line.strip()), "")
    return re.sub(r"^\s*question\s*:\s*", "", line, flags=re.IGNORECASE).strip().strip('"')


def _without(documents: Sequence[Document], taken: Sequence[tuple[str, int, int]]) -> tuple[Document, ...]:
    places = {name: (start, end) for name, start, end in taken}
    return tuple(
        replace(one, text=one.text[: places[one.id][0]].rstrip() + "\n\n" + one.text[places[one.id][1] :].lstrip())
        if one.id in places
        else one
        for one in documents
    )
