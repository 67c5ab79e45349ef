"""Time and memory of importing 200,000 questions from each format: `python -m benchmarks.import_rows [N] [FORMAT …]`.

Each format is imported in a process of its own, whose seconds, seconds of the processor (which other work on the
machine does not stretch) and largest resident memory are told.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from advisor.data.dataset import Dataset, Document, Example, Split
from advisor.data.files import default_card
from advisor.data.formats.export import export_dataset
from advisor.data.formats.reading import import_data
from advisor.data.formats.table import FORMATS

N_QUESTIONS = 200_000
QUESTIONS_PER_DOCUMENT = 20
SPLITS = (Split.TRAIN, Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.TEST)


def made(n: int) -> Dataset:
    """A dataset of n questions on n/20 documents of 100 words."""
    documents = tuple(
        Document(
            f"d{i}", f"Article {i}", f"The thing {i} weighs {i} grams. " + "It stands in the hall beside others. " * 14
        )
        for i in range(max(1, n // QUESTIONS_PER_DOCUMENT))
    )
    examples = tuple(
        Example(
            f"q{i}", f"How heavy is the thing {i} in the hall?", (f"{i} grams", f"{i} g"), (f"d{i % len(documents)}",),
            f"g{i // 2}", SPLITS[i % len(SPLITS)],
        )
        for i in range(n)
    )  # fmt: skip
    return Dataset(default_card("many"), documents, examples)


def main() -> None:
    """Print a line a format."""
    if len(sys.argv) == 4 and sys.argv[1] == "--import":
        started = time.perf_counter()
        import_data(Path(sys.argv[2]), Path(sys.argv[3]))
        seconds, processor = time.perf_counter() - started, time.process_time()
        # getrusage also counts what the process that started this one holds.
        peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        megabytes = int(peak.split()[1]) / 1024
        print(f"{seconds:6.1f} s {processor:6.1f} s of the processor {megabytes:7.0f} MB")
        return
    dataset = made(int(sys.argv[1]) if len(sys.argv) > 1 else N_QUESTIONS)
    for name in sys.argv[2:] or FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            source = export_dataset(dataset, name, Path(folder) / "exported")
            command = [
                sys.executable,
                "-m",
                "benchmarks.import_rows",
                "--import",
                str(source),
                str(Path(folder) / "out"),
            ]
            print(
                f"{name:13}",
                subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip(),
                flush=True,
            )


if __name__ == "__main__":
    main()
