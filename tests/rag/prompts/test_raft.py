import pytest

from advisor.data.dataset import Example, Split
from advisor.data.prompt import RetrievedChunk
from lm.fake import FakeLM
from rag.index import build_index, open_index
from rag.prompts.raft import choose_passages, raft_prompts
from rag.prompts.retrieved import RetrievedPrompt
from rag.retriever import Retriever


def chunk(name: str, document: str, text: str, score: float) -> RetrievedChunk:
    return RetrievedChunk(name, document, "", text, score)


SIBLING = chunk("s", "tide-7", "It spins at 1,200 rpm.", 0.9)
OWN = chunk("o", "tide-9", "It takes 9 kg of cotton.", 0.8)
GOLD = chunk("g", "tide-9", "Its top spin is 1,400 rpm.", 0.7)
AGAIN = chunk("a", "tide-9", "As said, 1,400 rpm.", 0.6)
OTHER = chunk("r", "returns", "Within 30 days.", 0.5)
RANKED = [SIBLING, OWN, GOLD, AGAIN, OTHER]


def example(answers: tuple[str, ...] = ("1,400 rpm",), documents: tuple[str, ...] = ("tide-9",)) -> Example:
    return Example("q", "Top spin of the Tide 9?", answers, documents, "g", Split.TRAIN)


@pytest.mark.parametrize(
    ("asked", "top_k", "with_gold", "expected"),
    [
        (example(), 1, True, [GOLD]),
        (example(), 3, True, [SIBLING, OWN, GOLD]),
        (example(), 9, True, [SIBLING, OWN, GOLD, OTHER]),
        (example(), 3, False, [SIBLING, OWN, OTHER]),
        (example(("fourteen hundred",)), 2, True, [SIBLING, OWN]),
        (example(("fourteen hundred",)), 2, False, [SIBLING, GOLD]),
        (example(documents=("gone",)), 2, True, [SIBLING, OWN]),
        (example(documents=()), 2, False, [SIBLING, OWN]),
        (example(answers=()), 2, False, [SIBLING, OWN]),
    ],
    ids=[
        "alone where one passage is served",
        "among the nearest others, in the order of retrieval",
        "a second passage that answers is no near miss",
        "near misses alone",
        "no passage holds the reference: the nearest of the document is taken for it",
        "and is left out for near misses alone",
        "not retrieved at all",
        "no document is known: as served",
        "unanswerable: as served",
    ],
)
def test_passages_to_tune_on(asked, top_k, with_gold, expected) -> None:
    assert choose_passages(asked, RANKED, top_k, with_gold=with_gold) == expected


@pytest.fixture
def serving(tmp_path, documents, embedder):
    build_index(documents, embedder, tmp_path / "index")
    with open_index(tmp_path / "index", embedder) as opened:
        yield RetrievedPrompt(Retriever(opened, embedder), "Answer briefly.", top_k=1)


def test_a_prompt_with_the_right_passage_is_the_one_it_is_served_with(serving) -> None:
    asked = example()
    found = raft_prompts(serving, [asked], FakeLM({}), 8, gold_share=1, seed=0)["q"]
    (served,) = serving.build([asked.question], FakeLM({}), 8)
    assert (found.messages, found.retrieved, found.embedding_tokens) == (
        served.messages,
        served.retrieved,
        served.embedding_tokens,
    )
    assert found.latency_s > 0


def test_without_gold_share_no_prompt_holds_the_answer(serving) -> None:
    asked = example()
    prompt = raft_prompts(serving, [asked], FakeLM({}), 8, gold_share=0, seed=0)["q"]
    assert [chunk.document_id for chunk in prompt.retrieved] == ["tide-7"]


def test_who_gets_the_right_passage_depends_on_seed_and_id_alone(serving) -> None:
    many = [
        Example(f"q{i}", "Top spin of the Tide 9?", ("1,400 rpm",), ("tide-9",), "g", Split.TRAIN) for i in range(60)
    ]

    def gold(examples, seed) -> set[str]:
        prompts = raft_prompts(serving, examples, FakeLM({}), 8, gold_share=0.5, seed=seed)
        return {i for i, prompt in prompts.items() if prompt.retrieved[0].document_id == "tide-9"}

    assert 15 < len(gold(many, 0)) < 45
    assert gold(many[::-1][:30], 0) == gold(many, 0) & {e.id for e in many[30:]}
    assert gold(many, 1) != gold(many, 0)


def test_no_examples_make_no_prompts(serving) -> None:
    assert raft_prompts(serving, [], FakeLM({}), 8, gold_share=1, seed=0) == {}
