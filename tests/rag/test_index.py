import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from advisor.data.dataset import Document
from lm.errors import ConfigError
from lm.files import damaged_files
from rag import vector_search
from rag.chunk import READER_FACTOR, Chunking, Reader
from rag.errors import DamagedIndexError, IndexingError
from rag.index import build_index, open_index, read_record

BURMESE = "ရေပိုက်ကို မှန်ကန်စွာ တပ်ဆင်ပြီး ဓာတ်အားကြိုးကို ခြောက်သွေ့သော နေရာတွင် ထားပါ။ သတ္တဝါများကို စက်အနီးတွင် မထားပါနှင့်။"
CHINESE = "洗衣机应放在平坦坚固的地面上。使用前请仔细阅读说明书，并检查水管是否连接牢固。"


class BrokenOff(Exception):  # noqa: N818
    pass


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_nearest_chunk_comes_first_with_its_cosine(tmp_path, documents, embedder) -> None:
    record = build_index(documents, embedder, tmp_path / "index")
    with open_index(tmp_path / "index", embedder) as index:
        question = embedder.embed(["Parcels go back within 30 days", "top spin of the Tide 9"])
        by_return, by_spin = index.query(question, 2)
    assert [chunk.document_id for chunk in by_return][0] == "returns"
    assert by_spin[0].document_id == "tide-9"
    assert by_spin[0].title == "Tide 9"
    assert by_spin[0].text == documents[1].text
    expected = float(embedder.embed([f"Tide 9: {documents[1].text}"])[0] @ question[1])
    assert by_spin[0].score == pytest.approx(expected, abs=1e-5)
    assert by_spin[0].score >= by_spin[1].score
    assert (record.n_documents, record.n_chunks, record.n_dimensions) == (3, 3, 64)


def test_an_open_index_answers_beside_others_and_after_its_folder_is_gone(tmp_path, documents, embedder) -> None:
    build_index(documents, embedder, tmp_path / "index")
    question = embedder.embed(["top spin of the Tide 9"])
    killed = tmp_path / ".index.0.open"
    (killed / "chroma").mkdir(parents=True)
    with open_index(tmp_path / "index", embedder) as first, open_index(tmp_path / "index", embedder) as second:
        assert second.query(question, 2) == first.query(question, 2)
        shutil.rmtree(tmp_path / "index")
        assert second.query(question, 1)[0][0].document_id == "tide-9"
        assert len(names(tmp_path)) == 3
    assert names(tmp_path) == [".index.lock"]
    with pytest.raises(IndexingError, match="holds no finished index"):
        open_index(tmp_path / "index", embedder)


def test_opening_leaves_every_file_as_it_was(tmp_path, documents, embedder) -> None:
    build_index(documents, embedder, tmp_path / "index")
    for _ in range(2):
        with open_index(tmp_path / "index", embedder) as index:
            index.query(embedder.embed(["spin"]), 1)
        assert damaged_files(tmp_path / "index") == []


def test_the_record_says_what_was_built_and_what_it_cost(tmp_path, documents, embedder) -> None:
    record = build_index(documents, embedder, tmp_path / "index", chunking=Chunking(64, 8))
    assert record == read_record(tmp_path / "index")
    assert record.chunking == Chunking(64, 8)
    assert record.recall >= 0.99
    assert record.build_usage.wall_s > 0
    texts = [f"{document.title}: {document.text}" for document in documents]
    assert record.build_usage.embedding_tokens == sum(embedder.count_tokens(texts))
    assert set(record.versions) >= {"chromadb", "numpy", "python"}


def test_what_an_earlier_index_has_is_not_embedded_again_and_the_cost_is_that_of_building_anew(
    tmp_path, documents, embedder
) -> None:
    before = build_index(documents, embedder, tmp_path / "before")
    n_embedded = embedder.n_embedded
    edited = [*documents[:-1], Document("returns", "Returns", "Parcels go back within 60 days.")]
    earlier = [tmp_path / "before", tmp_path / "nothing"]
    after = build_index(edited, embedder, tmp_path / "after", earlier=earlier)
    assert embedder.n_embedded == n_embedded + 1
    assert after.build_usage.embedding_tokens > before.build_usage.embedding_tokens / 2
    anew = build_index(edited, embedder, tmp_path / "anew")
    assert after.file_hashes == anew.file_hashes
    assert after.build_usage.embedding_tokens == anew.build_usage.embedding_tokens
    # Chunks of another size are cut anew.
    smaller = build_index(edited, embedder, tmp_path / "smaller", chunking=Chunking(32), earlier=earlier)
    assert smaller.file_hashes == build_index(edited, embedder, tmp_path / "32", chunking=Chunking(32)).file_hashes


def test_vectors_that_were_paid_for_before_a_stop_are_not_asked_for_again(
    tmp_path, documents, embedder, monkeypatch
) -> None:
    texts = [f"{document.title}: {document.text}" for document in documents]
    n_tokens = embedder.count_tokens(texts)
    embedder.device = "remote"
    monkeypatch.setattr("rag.index._PAID_AT_ONCE", 1)
    told = []

    def stop_at_two(done: int, total: int, n_tokens: int) -> None:
        told.append((done, total, n_tokens))
        if done == 2:
            raise BrokenOff

    with pytest.raises(BrokenOff):
        build_index(documents, embedder, tmp_path / "index", on_embedded=stop_at_two)
    n = len(documents)
    assert told == [(0, n, 0), (1, n, n_tokens[0]), (2, n, n_tokens[1])]
    kept = sorted((tmp_path / ".index.part").iterdir())
    kept[0].write_bytes(kept[0].read_bytes()[:-1] + b"!")
    resumed = build_index(documents, embedder, tmp_path / "index", on_embedded=lambda *step: told.append(step))
    # All but the one that is whole: the other was damaged meanwhile.
    assert embedder.n_embedded == 2 + n - 1
    assert sum(step[2] for step in told) == sum(n_tokens) + (n_tokens[0] + n_tokens[1] - told[4][2] - told[5][2])
    assert not (tmp_path / ".index.part").exists()
    assert resumed.file_hashes == build_index(documents, embedder, tmp_path / "anew").file_hashes


def test_chunks_are_bounded_in_the_tokens_of_their_reader_too(tmp_path, embedder) -> None:
    document = Document("manual", "", "drum " * 200)
    reader = Reader(lambda text: 10 * len(text.split()), "ten a word")
    bounded = build_index([document], embedder, tmp_path / "bounded", chunking=Chunking(64), reader=reader)
    plain = build_index([document], embedder, tmp_path / "plain", chunking=Chunking(64))
    assert bounded.n_chunks > plain.n_chunks
    assert bounded.content_key != plain.content_key
    with open_index(tmp_path / "bounded", embedder) as index:
        assert max(reader.count_tokens(chunk.embedded_text) for chunk in index.chunks) <= READER_FACTOR * 64


def test_fewer_chunks_than_asked_for_are_all_given(tmp_path, documents, embedder) -> None:
    build_index(documents, embedder, tmp_path / "index")
    with open_index(tmp_path / "index", embedder) as index:
        (found,) = index.query(embedder.embed(["anything"]), 50)
    assert len(found) == 3


@pytest.mark.parametrize("text", [BURMESE, CHINESE], ids=["burmese", "chinese"])
def test_texts_without_spaces_come_back_unharmed(tmp_path, documents, embedder, text: str) -> None:
    foreign = Document("foreign", "", text)
    build_index([*documents, foreign], embedder, tmp_path / "index")
    with open_index(tmp_path / "index", embedder) as index:
        (found,) = index.query(embedder.embed([text[:30]]), 1)
    assert found[0].document_id == "foreign"
    assert found[0].text == text


def test_equal_chunks_are_ranked_by_id_however_many_tie(tmp_path, embedder) -> None:
    twins = [Document(f"twin-{n:02}", "", "The very same words.") for n in reversed(range(40))]
    build_index([*twins, Document("other", "", "Something else.")], embedder, tmp_path / "index")
    with open_index(tmp_path / "index", embedder) as index:
        (found,) = index.query(embedder.embed(["the very same words"]), 3)
    assert [chunk.document_id for chunk in found] == ["twin-00", "twin-01", "twin-02"]


def test_a_build_that_breaks_leaves_nothing_behind(tmp_path, documents, embedder, monkeypatch) -> None:
    def break_off(_texts):
        raise BrokenOff

    monkeypatch.setattr(embedder, "embed", break_off)
    with pytest.raises(BrokenOff):
        build_index(documents, embedder, tmp_path / "index")
    assert names(tmp_path) == [".index.lock"]


def test_a_build_that_breaks_while_chroma_writes_leaves_the_old_index_whole(
    tmp_path, documents, embedder, monkeypatch
) -> None:
    build_index(documents[:2], embedder, tmp_path / "index")

    def break_off(*_arguments):
        raise BrokenOff

    monkeypatch.setattr(vector_search, "verify", break_off)
    with pytest.raises(IndexingError, match="see whether the disk is full or fails"):
        build_index(documents, embedder, tmp_path / "index")
    assert names(tmp_path) == [".index.lock", "index"]
    with open_index(tmp_path / "index", embedder) as index:
        assert index.record.n_documents == 2
        assert len(index.query(embedder.embed(["spin"]), 5)[0]) == 2


def test_what_a_killed_build_left_is_discarded_and_built_anew(tmp_path, documents, embedder) -> None:
    build_index(documents, embedder, tmp_path / "index")
    (tmp_path / "index" / "index.json").unlink()
    (tmp_path / ".index.staged").mkdir()
    (tmp_path / ".index.staged" / "vectors.npy").write_bytes(b"half")
    with pytest.raises(IndexingError, match="no finished index"):
        open_index(tmp_path / "index", embedder)
    build_index(documents, embedder, tmp_path / "index")
    with open_index(tmp_path / "index", embedder) as index:
        assert index.query(embedder.embed(["spin"]), 1)
    assert names(tmp_path) == [".index.lock", "index"]


def test_a_folder_of_other_files_is_never_deleted(tmp_path, documents, embedder) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").write_text("years of work")
    with pytest.raises(IndexingError, match=r"thesis\.txt"):
        build_index(documents, embedder, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("marker", ["", "{}", '{"format_version": 1}', "[1]"])
def test_a_damaged_marker_is_refused(tmp_path, documents, embedder, marker: str) -> None:
    build_index(documents, embedder, tmp_path / "index")
    (tmp_path / "index" / "index.json").write_text(marker)
    with pytest.raises(IndexingError, match="build the index again"):
        open_index(tmp_path / "index", embedder)


def test_an_index_of_another_format_is_refused(tmp_path, documents, embedder) -> None:
    build_index(documents, embedder, tmp_path / "index")
    marker = tmp_path / "index" / "index.json"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "format_version": 99}))
    with pytest.raises(IndexingError, match="format 99"):
        open_index(tmp_path / "index", embedder)


def test_another_embedder_is_refused_by_name(tmp_path, documents, embedder, embedder_class) -> None:
    build_index(documents, embedder, tmp_path / "index")
    with pytest.raises(IndexingError, match="built with the embedder hashing"):
        open_index(tmp_path / "index", embedder_class(salt="other"))


@pytest.mark.parametrize("name", ["vectors.npy", "chunks.jsonl", "index.json", "sealed.json"])
def test_a_flipped_bit_in_a_file_of_ours_is_refused_and_the_index_built_anew(
    tmp_path, documents, embedder, name: str
) -> None:
    whole = build_index(documents, embedder, tmp_path / "index")
    flip_a_bit(tmp_path / "index" / name)
    with pytest.raises(DamagedIndexError, match=r"damaged"):
        open_index(tmp_path / "index", embedder)
    told: list[str] = []
    assert build_index(documents, embedder, tmp_path / "index", on_damage=told.append).content_key == whole.content_key
    assert "it is set aside as index.damaged and built again" in told[0]
    assert names(tmp_path) == [".index.lock", "index", "index.damaged"]
    with open_index(tmp_path / "index", embedder) as index:
        assert index.query(embedder.embed(["Parcels go back"]), 1)[0][0].document_id == "returns"


@pytest.mark.parametrize("name", ["data_level0.bin", "header.bin", "chroma.sqlite3"])
def test_a_damaged_search_structure_is_made_again_from_the_kept_vectors(
    tmp_path, documents, embedder, name: str
) -> None:
    record = build_index(documents, embedder, tmp_path / "index")
    (path,) = (tmp_path / "index" / record.chroma_folder).rglob(name)
    # As long as it was.
    path.write_bytes(path.read_bytes()[:50] + b"\x07" * (path.stat().st_size - 50))
    with pytest.raises(DamagedIndexError):
        open_index(tmp_path / "index", embedder)
    n_before = embedder.n_embedded
    rebuilt = build_index(documents, embedder, tmp_path / "index")
    assert embedder.n_embedded == n_before
    assert rebuilt.build_usage.device_s == pytest.approx(record.build_usage.device_s, abs=1)
    with open_index(tmp_path / "index", embedder) as index:
        assert index.query(embedder.embed(["Parcels go back"]), 1)[0][0].document_id == "returns"


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_an_unchanged_index_is_kept_and_a_changed_one_replaced(tmp_path, documents, embedder) -> None:
    first = build_index(documents, embedder, tmp_path / "index")
    assert build_index(documents, embedder, tmp_path / "index") == first
    changed = [Document("returns", "Returns", "Parcels go back within 60 days."), *documents[:2]]
    second = build_index(changed, embedder, tmp_path / "index")
    assert second.content_key != first.content_key
    with open_index(tmp_path / "index", embedder) as index:
        assert "60 days" in index.query(embedder.embed(["Parcels go back"]), 1)[0][0].text


def test_a_closed_index_can_be_deleted_and_built_again_with_other_content(tmp_path, documents, embedder) -> None:
    for document in documents:
        build_index([document], embedder, tmp_path / "index")
        with open_index(tmp_path / "index", embedder) as index, open_index(tmp_path / "index", embedder) as again:
            for opened in (index, again):
                assert [c.document_id for c in opened.query(embedder.embed(["spin"]), 3)[0]] == [document.id]
        shutil.rmtree(tmp_path / "index")
    with pytest.raises(IndexingError, match="is closed"):
        index.query(embedder.embed(["spin"]), 1)


def test_closing_lets_go_of_every_file_once_the_last_index_is_closed(tmp_path, documents, embedder) -> None:
    def held_files() -> list[str]:
        return [file.path for file in psutil.Process().open_files() if file.path.startswith(str(tmp_path))]

    def left_open() -> list[str]:
        # Chroma's own threads let go of its database a moment after they are told to.
        deadline = time.monotonic() + 30
        while held_files() and time.monotonic() < deadline:
            os.sched_yield()
        return held_files()

    build_index(documents, embedder, tmp_path / "index")
    assert left_open() == []
    first, second = open_index(tmp_path / "index", embedder), open_index(tmp_path / "index", embedder)
    first.close()
    first.close()
    assert second.query(embedder.embed(["spin"]), 1)
    assert held_files()
    second.close()
    assert left_open() == []


def test_an_index_opens_many_times_and_where_it_was_moved(tmp_path, documents, embedder) -> None:
    build_index(documents, embedder, tmp_path / "index")
    (tmp_path / "index").rename(tmp_path / "moved")
    for _ in range(3):
        with open_index(tmp_path / "moved", embedder) as index:
            assert len(index.query(embedder.embed(["spin"]), 3)[0]) == 3


def test_more_chunks_than_chroma_takes_at_once_agree_with_exact_search(tmp_path, embedder_class) -> None:
    embedder = embedder_class(n_dimensions=16)
    generator = np.random.default_rng(0)
    corpus = [Document(f"d{n:05}", "", " ".join(f"w{w}" for w in generator.integers(0, 300, 6))) for n in range(5_600)]
    record = build_index(corpus, embedder, tmp_path / "index")
    assert record.n_chunks == 5_600
    questions = embedder.embed([" ".join(f"w{w}" for w in generator.integers(0, 300, 4)) for _ in range(50)])
    exact = -np.sort(-(questions @ embedder.embed([d.text for d in corpus]).T), axis=1)[:, :5]
    with open_index(tmp_path / "index", embedder) as index:
        found = index.query(questions, 5)
        assert found == index.query(questions, 5)
    scores = np.array([[chunk.score for chunk in chunks] for chunks in found])
    assert np.mean(scores >= exact - 1e-5) >= 0.99


def test_low_recall_widens_the_search_and_then_refuses(tmp_path, documents, embedder, monkeypatch) -> None:
    measured = iter([0.5, 1.0])
    monkeypatch.setattr(vector_search, "measure_recall", lambda *_: next(measured))
    assert build_index(documents, embedder, tmp_path / "index").ef_search == vector_search.EF_LADDER[1]
    monkeypatch.setattr(vector_search, "measure_recall", lambda *_: 0.5)
    with pytest.raises(IndexingError, match=r"only 50\.0%"):
        build_index(documents[:2], embedder, tmp_path / "index")


def test_recall_counts_a_search_that_finds_other_chunks_as_poor(tmp_path) -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [str(n) for n in range(60)]
    place = vector_search.Place(tmp_path / "chroma")
    with vector_search.open_chroma(place) as client:
        collection = vector_search.fill(client, place, ids, vectors, 200)
        assert vector_search.measure_recall(collection, ids, vectors) == 1.0
        assert vector_search.measure_recall(collection, ids, np.roll(vectors, 7, axis=0)) < 0.9
        with pytest.raises(IndexingError, match="other vectors"):
            vector_search.verify(collection, ids, np.roll(vectors, 7, axis=0))
        with pytest.raises(IndexingError, match="60 of 59"):
            vector_search.verify(collection, ids[:-1], vectors[:-1])
        with pytest.raises(IndexingError, match="chunk 99"):
            vector_search.verify(collection, [*ids[:-1], "99"], vectors)


@pytest.mark.parametrize("corpus", [[], [Document("blank", "Title", " \n ")]], ids=["none", "blank"])
def test_a_corpus_without_text_is_refused(tmp_path, embedder, corpus) -> None:
    with pytest.raises(IndexingError, match="nothing to retrieve"):
        build_index(corpus, embedder, tmp_path / "index")


def test_an_id_used_twice_is_refused_by_name(tmp_path, documents, embedder) -> None:
    with pytest.raises(IndexingError, match="'tide-7'"):
        build_index([*documents, documents[0]], embedder, tmp_path / "index")


def test_chunks_longer_than_the_embedder_reads_are_refused(tmp_path, documents, embedder_class) -> None:
    with pytest.raises(ConfigError, match="reads 64"):
        build_index(documents, embedder_class(max_tokens=64), tmp_path / "index", chunking=Chunking(64, 0))


def test_an_embedder_that_gives_no_unit_vectors_is_refused(tmp_path, documents, embedder_class) -> None:
    class Broken(embedder_class):
        def embed(self, texts):
            return super().embed(texts) * np.float32("nan")

    with pytest.raises(IndexingError, match="tide-7#0"):
        build_index(documents, Broken(), tmp_path / "index")


def test_questions_of_another_length_and_senseless_top_k_are_refused(tmp_path, documents, embedder) -> None:
    build_index(documents, embedder, tmp_path / "index")
    with open_index(tmp_path / "index", embedder) as index:
        with pytest.raises(IndexingError, match="64 numbers"):
            index.query(np.ones((1, 3), dtype=np.float32), 1)
        with pytest.raises(ConfigError, match="top_k"):
            index.query(embedder.embed(["x"]), 0)
        assert index.query(embedder.embed([])[:0], 1) == []
