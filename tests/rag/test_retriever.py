from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from advisor.data.dataset import Document
from lm.errors import ConfigError
from rag.index import Index, build_index, open_index
from rag.retrieval_options import RetrieverKind
from rag.retriever import Retriever

BURMESE = [
    Document("drum", "", "အဝတ်လျှော်စက်၏ စည်သည် ချည်ထည် ၇ ကီလိုဂရမ် ဆံ့သည်။"),
    Document("oven", "", "မီးဖိုသည် ၂၅၀ ဒီဂရီအထိ ပူနိုင်သည်။"),
    Document("parcel", "", "ပါဆယ်ကို ရက် ၃၀ အတွင်း ပြန်ပို့နိုင်သည်။"),
]


@pytest.fixture
def index(tmp_path: Path, documents, embedder) -> Iterator[Index]:
    build_index(documents, embedder, tmp_path / "index")
    with open_index(tmp_path / "index", embedder) as index:
        yield index


class ByLength:
    name = "by length"
    fingerprint = "by length"

    def score(self, question: str, passages: Sequence[str]) -> list[float]:
        return [-float(len(passage)) for passage in passages]


@pytest.mark.parametrize("kind", RetrieverKind)
def test_each_retriever_finds_the_document_that_answers(kind: RetrieverKind, index: Index, embedder) -> None:
    (found,) = Retriever(index, embedder, kind).retrieve(["How many kg of cotton does the Tide 9 take?"], 2)
    assert found.chunks[0].document_id == "tide-9"
    assert [chunk.score for chunk in found.chunks] == sorted((chunk.score for chunk in found.chunks), reverse=True)


def test_a_lexical_retriever_finds_nothing_where_no_word_is_shared_and_embeds_nothing(index: Index, embedder) -> None:
    n_embedded = embedder.n_embedded
    unknown, known = Retriever(index, embedder, RetrieverKind.LEXICAL).retrieve(["zebra", "cotton"], 5)
    assert (unknown.chunks, unknown.embedding_tokens, len(known.chunks)) == ([], 0, 2)
    assert embedder.n_embedded == n_embedded


def test_a_hybrid_fills_up_with_near_passages_where_no_word_is_shared(index: Index, embedder) -> None:
    (found,) = Retriever(index, embedder, RetrieverKind.HYBRID).retrieve(["zebra"], 2)
    assert len(found.chunks) == 2
    assert found.embedding_tokens > 0


def test_words_are_found_in_a_script_without_spaces(tmp_path: Path, embedder) -> None:
    build_index(BURMESE, embedder, tmp_path / "index")
    with open_index(tmp_path / "index", embedder) as index:
        (found,) = Retriever(index, embedder, RetrieverKind.LEXICAL).retrieve(["စည်တွင် ချည်ထည် ဘယ်နှစ်ကီလို ဆံ့သလဲ။"], 1)
    assert found.chunks[0].document_id == "drum"


def test_a_reranker_orders_what_was_found(index: Index, embedder) -> None:
    (found,) = Retriever(index, embedder, reranker=ByLength()).retrieve(["cotton"], 3)
    texts = [index.embedded_text(chunk.chunk_id) for chunk in found.chunks]
    assert texts == sorted(texts, key=len)


def test_what_decides_the_passages_decides_the_fingerprint(index: Index, embedder) -> None:
    retrievers = [Retriever(index, embedder, kind) for kind in RetrieverKind]
    retrievers.append(Retriever(index, embedder, reranker=ByLength()))
    assert len({retriever.fingerprint for retriever in retrievers}) == 4


def test_fewer_than_one_passage_is_refused(index: Index, embedder) -> None:
    with pytest.raises(ConfigError, match="top_k is 0"):
        Retriever(index, embedder).retrieve(["x"], 0)
