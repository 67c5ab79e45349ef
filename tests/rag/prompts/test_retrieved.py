import pytest

from advisor.data.dataset import Document
from advisor.data.prompt import OracleContext, question_turn
from lm.fake import FakeLM
from rag.index import build_index, open_index
from rag.prompts.retrieved import RetrievedPrompt
from rag.retriever import Retriever

INSTRUCTION = "Answer briefly."


@pytest.fixture
def index(tmp_path, documents, embedder):
    build_index(documents, embedder, tmp_path / "index")
    with open_index(tmp_path / "index", embedder) as opened:
        yield opened


def test_the_prompt_is_worded_as_every_other_arms(index, embedder, documents) -> None:
    builder = RetrievedPrompt(Retriever(index, embedder), INSTRUCTION, top_k=1)
    question = "What is the top spin of the Tide 9?"
    (prompt,) = builder.build([question], FakeLM({}), 8)
    (oracle,) = OracleContext(INSTRUCTION, {question: (documents[1],)}).build([question], FakeLM({}), 8)
    assert prompt.messages == oracle.messages
    assert [chunk.document_id for chunk in prompt.retrieved] == ["tide-9"]


def test_each_question_gets_its_own_passages_and_cost(index, embedder) -> None:
    questions = ["top spin of the Tide 7", "parcels go back within how many days"]
    prompts = RetrievedPrompt(Retriever(index, embedder), INSTRUCTION, top_k=2).build(questions, FakeLM({}), 8)
    assert [prompt.retrieved[0].document_id for prompt in prompts] == ["tide-7", "returns"]
    assert [prompt.embedding_tokens for prompt in prompts] == embedder.count_tokens(questions)
    assert prompts[0].latency_s == prompts[1].latency_s > 0
    assert [len(prompt.retrieved) for prompt in prompts] == [2, 2]


def test_passages_beyond_the_context_are_shown_as_unused(index, embedder) -> None:
    question = "top spin of the Tide 9"
    builder = RetrievedPrompt(Retriever(index, embedder), INSTRUCTION, top_k=3)
    (whole,) = builder.build([question], FakeLM({}), 8)
    assert all(chunk.used for chunk in whole.retrieved)
    roomy = FakeLM({})
    one_passage = [question_turn(INSTRUCTION, question, [f"{whole.retrieved[0].title}: {whole.retrieved[0].text}"])]
    small = FakeLM({}, context_tokens=roomy.count_tokens(one_passage) + 8)
    (prompt,) = builder.build([question], small, 8)
    assert [chunk.used for chunk in prompt.retrieved] == [True, False, False]
    assert list(prompt.messages) == one_passage


def test_no_questions_make_no_prompts(index, embedder) -> None:
    assert RetrievedPrompt(Retriever(index, embedder), INSTRUCTION).build([], FakeLM({}), 8) == []


def test_the_fingerprint_tells_instruction_top_k_and_content_apart(index, embedder, tmp_path, documents) -> None:
    build_index([*documents, Document("new", "", "New text.")], embedder, tmp_path / "other")
    with open_index(tmp_path / "other", embedder) as other:
        builders = [
            RetrievedPrompt(Retriever(index, embedder), INSTRUCTION, 2),
            RetrievedPrompt(Retriever(index, embedder), INSTRUCTION, 3),
            RetrievedPrompt(Retriever(index, embedder), "Other.", 2),
            RetrievedPrompt(Retriever(other, embedder), INSTRUCTION, 2),
        ]
        assert len({builder.fingerprint for builder in builders}) == 4
        assert builders[0].fingerprint == RetrievedPrompt(Retriever(index, embedder), INSTRUCTION, 2).fingerprint
