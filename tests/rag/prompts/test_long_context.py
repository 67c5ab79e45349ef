from collections.abc import Iterator
from pathlib import Path

import pytest

from advisor.errors import EvaluationError
from lm.fake import FakeLM
from rag.index import build_index, open_index
from rag.prompts.long_context import WholeDocuments, filled_context
from rag.retriever import Retriever

QUESTION = "How many kg of cotton does the Tide 9 take?"


@pytest.fixture
def retriever(tmp_path: Path, documents, embedder) -> Iterator[Retriever]:
    build_index(documents, embedder, tmp_path / "index")
    with open_index(tmp_path / "index", embedder) as index:
        yield Retriever(index, embedder)


def test_all_documents_stand_before_the_question_and_alike_for_every_question(documents) -> None:
    first, second = WholeDocuments("Be brief.", tuple(documents)).build(
        [QUESTION, "Where is the label?"], FakeLM({}), 8
    )
    before, after = (prompt.messages[0].content.partition("Question:")[0] for prompt in (first, second))
    assert before == after
    assert all(document.text in before for document in documents)
    assert [chunk.document_id for chunk in first.retrieved] == [document.id for document in documents]


def test_it_is_known_whether_they_fit(documents) -> None:
    whole = WholeDocuments("Be brief.", tuple(documents))
    assert whole.fits([QUESTION], FakeLM({}, context_tokens=4096), 8)
    assert not whole.fits([QUESTION], FakeLM({}, context_tokens=40), 8)


def test_a_smaller_context_is_filled_in_the_order_of_retrieval(retriever) -> None:
    model = FakeLM({}, context_tokens=70)
    builder = filled_context(retriever, "Be brief.", [QUESTION], model, 8, top_k=1)
    (prompt,) = builder.build([QUESTION], model, 8)
    used = [chunk.document_id for chunk in prompt.retrieved if chunk.used]
    assert used == ["tide-9", "tide-7"]
    assert model.count_tokens(prompt.messages) + 8 <= 70


def test_a_context_that_holds_no_more_than_rag_reads_is_refused_by_name(retriever) -> None:
    with pytest.raises(EvaluationError, match="long-context cannot run: the context of .* holds 0 passages"):
        filled_context(retriever, "Be brief.", [QUESTION], FakeLM({}, context_tokens=40), 8, top_k=1)
