"""How often each retriever finds the right document: recall@1, recall@5, MRR@10, and what a question takes.

    python -m benchmarks.retrieval_quality datasets/appliance-support FOLDER ... --embedder multilingual

Test questions with gold documents, at most 400 of a dataset, in the order of the file.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from advisor.data.dataset import Split, Task
from advisor.data.files import load_dataset
from advisor.metrics.retrieval import has_gold_documents
from lm.embedding import KnowsItsTokens
from rag.embedder import load_embedder
from rag.index import build_index, open_index
from rag.retrieval_options import RetrieverKind
from rag.retriever import Retriever

MAX_QUESTIONS = 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--embedder", action="append")
    options = parser.parse_args()
    for folder in options.folders:
        has_card = (folder / "dataset.toml").is_file()
        dataset = load_dataset(folder, task=None if has_card else Task.QUESTION_ANSWERING)
        asked = [e for e in dataset.split(Split.TEST) if has_gold_documents(e)][:MAX_QUESTIONS]
        for spec in options.embedder or ["minilm"]:
            embedder = load_embedder(spec, device="cpu")
            with tempfile.TemporaryDirectory() as home:
                started = time.perf_counter()
                record = build_index(dataset.documents, embedder, Path(home) / "index")
                built_s = time.perf_counter() - started
                unknown = ""
                if isinstance(embedder, KnowsItsTokens):
                    unknown = f", unknown {embedder.unknown_share([d.text for d in dataset.documents]):.1%}"
                size = f"{len(asked)} questions, {record.n_chunks} chunks"
                print(f"{folder.name} {spec}: {size}, {built_s:.0f} s{unknown}", flush=True)
                with open_index(Path(home) / "index", embedder) as index:
                    for kind in RetrieverKind:
                        measure(Retriever(index, embedder, kind), asked)


def measure(retriever: Retriever, asked: list) -> None:
    retriever.retrieve(["warm-up"], 1)
    started = time.perf_counter()
    found = retriever.retrieve([example.question for example in asked], 10)
    ms = 1e3 * (time.perf_counter() - started) / len(asked)
    rows = []
    for example, one in zip(asked, found, strict=True):
        gold, ranked = set(example.document_ids), [chunk.document_id for chunk in one.chunks]
        first = next((rank for rank, document in enumerate(ranked, 1) if document in gold), None)
        recalls = [len(gold.intersection(ranked[:k])) / len(gold) for k in (1, 5)]
        rows.append([*recalls, 1 / first if first else 0.0])
    recall_1, recall_5, mrr = np.mean(rows, axis=0)
    print(f"  {retriever.kind:8} recall@1 {recall_1:.3f}  recall@5 {recall_5:.3f}  MRR@10 {mrr:.3f}  {ms:.1f} ms")


if __name__ == "__main__":
    main()
