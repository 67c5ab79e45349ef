"""How often each retriever finds the right document: recall@1, recall@5, MRR@10, and what a question takes.

    python -m benchmarks.retrieval_quality datasets/appliance-support FOLDER ... --embedder multilingual [--weights]

Test questions with gold documents, at most 400 of a dataset, in the order of the file. `--weights` shows hybrid search
by the share of its score that is of the vectors instead, on as many questions of the other splits: what is chosen there
can be reported on test questions.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import rag.retriever
from advisor.data.dataset import Dataset, Example, Split, Task
from advisor.data.files import load_dataset
from advisor.metrics.retrieval import has_gold_documents
from lm.embedding import KnowsItsTokens
from rag.embedder import load_embedder
from rag.index import build_index, open_index
from rag.retrieval_options import RetrieverKind
from rag.retriever import Retriever

MAX_QUESTIONS = 400
WEIGHTS = tuple(round(0.1 * i, 1) for i in range(11))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--embedder", action="append")
    parser.add_argument("--weights", action="store_true")
    options = parser.parse_args()
    by_weight = defaultdict(list)
    for folder in options.folders:
        has_card = (folder / "dataset.toml").is_file()
        dataset = load_dataset(folder, task=None if has_card else Task.QUESTION_ANSWERING)
        asked = questions(dataset, other=options.weights)
        if not asked:
            print(f"{folder.name}: no question with gold documents in these splits", flush=True)
            continue
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
                    if not options.weights:
                        for kind in RetrieverKind:
                            measure(Retriever(index, embedder, kind), asked, str(kind))
                        continue
                    hybrid = Retriever(index, embedder, RetrieverKind.HYBRID)
                    for weight in WEIGHTS:
                        rag.retriever.DENSE_WEIGHT = weight
                        by_weight[spec, weight].append(measure(hybrid, asked, f"{weight:.1f}"))
    for (spec, weight), rows in by_weight.items():
        recall_1, recall_5, mrr = np.mean(rows, axis=0)
        means = f"recall@1 {recall_1:.3f}  recall@5 {recall_5:.3f}  MRR@10 {mrr:.3f}"
        print(f"mean of {len(rows)} datasets, {spec} {weight:.1f}: {means}")


def questions(dataset: Dataset, *, other: bool) -> list[Example]:
    """Of the test split, or of the other ones, where there is no harm in choosing."""
    splits = (Split.VALIDATION, Split.TRAIN) if other else (Split.TEST,)
    return [e for split in splits for e in dataset.split(split) if has_gold_documents(e)][:MAX_QUESTIONS]


def measure(retriever: Retriever, asked: Sequence[Example], label: str) -> NDArray[np.float64]:
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
    means = np.mean(rows, axis=0)
    recall_1, recall_5, mrr = means
    print(f"  {label:8} recall@1 {recall_1:.3f}  recall@5 {recall_5:.3f}  MRR@10 {mrr:.3f}  {ms:.1f} ms", flush=True)
    return means


if __name__ == "__main__":
    main()
