"""The search structure at scale: what building it takes beside Chroma alone, p95 of a query, recall@5 against exact.

    python -m benchmarks.index_scale --n-chunks 100000 [--server http://127.0.0.1:8000]

Vectors are drawn: unit vectors around one centre for each 50 chunks. Embedding is apart.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from rag import vector_search
from rag.vector_search import Place

N_DIMENSIONS = 384
N_QUERIES = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-chunks", type=int, default=100_000)
    parser.add_argument("--server", default="")
    options = parser.parse_args()
    n, rng = options.n_chunks, np.random.default_rng(0)
    centres = rng.standard_normal((max(1, n // 50), N_DIMENSIONS), dtype=np.float32)
    drawn = centres[rng.integers(0, len(centres), n + N_QUERIES)]
    drawn += 0.7 * rng.standard_normal(drawn.shape, dtype=np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    vectors, queries = drawn[:n], drawn[n:]
    ids = [f"d{i // 5}#{i % 5}" for i in range(n)]
    with tempfile.TemporaryDirectory() as home:
        place = Place(Path(home) / f"scale-{time.time_ns():x}", options.server)
        with vector_search.open_chroma(place) as client:
            started = time.perf_counter()
            collection = vector_search.fill(client, place, ids, vectors, vector_search.EF_LADDER[0])
            chroma_s = time.perf_counter() - started
            vector_search.verify(collection, ids, vectors)
            own = vector_search.measure_recall(collection, ids, vectors)
            build_s = time.perf_counter() - started
            print(
                f"build {build_s:.1f} s, Chroma alone {chroma_s:.1f} s: {build_s / chroma_s:.3f}; recall@10 {own:.4f}"
            )
            waits, n_found = [], 0
            for query in queries:
                started = time.perf_counter()
                found = vector_search.find_nearest(collection, query[None], 5)[0]
                waits.append(time.perf_counter() - started)
                exact = vectors @ query
                n_found += len(set(found) & {ids[i] for i in np.argpartition(-exact, 5)[:5]})
            mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            p95_ms = 1e3 * float(np.quantile(waits, 0.95))
            print(f"query p95 {p95_ms:.1f} ms, recall@5 {n_found / (5 * len(queries)):.4f}, memory {mib:,.0f} MiB")
            client.delete_collection(place.collection)


if __name__ == "__main__":
    main()
