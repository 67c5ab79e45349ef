"""A job like `service.jobs.job_process`, with scripted arms: real processes, locks, stages and reports, no model.

Behind the arguments of `service.jobs.job_process` stand a file in which it notes every block that is asked, the moment
at which it kills its process group, the moment at which it stops itself, and how long a block takes.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from advisor.data.dataset import Dataset
from advisor.data.prompt import FewShot, QuestionOnly
from advisor.results.answer import BuildUsage, Pipeline
from advisor.results.comparison import ArmRole
from lm.completion import GenerationConfig, Messages
from lm.embedding import Embedder
from lm.fake import FakeLM
from lm.files import write_whole
from lm.language_model import LanguageModel
from service.jobs import comparison_lock
from service.jobs.job_process import job_process
from service.jobs.job_watch import JobWatch
from service.run.arm import Arm, answer_in_turn
from service.run.composition import arm_names
from service.run.composition.stages import Hold
from service.run.progress import OnProgress, Progress
from service.run.settings import ComparisonSettings
from service.store.data_directory import DataDirectory
from service.store.stages.build_alone import build_alone
from tests.chaos.workplace import ARMS


class Script:
    """What a test wants of the process."""

    def __init__(self, journal: Path, die_at: str, freeze_at: str, block_s: float) -> None:
        self.journal = journal
        self.die_at = die_at
        self.freeze_at = freeze_at
        self.block_s = block_s

    def reach(self, moment: str) -> None:
        """Kill everything, or stand still, the first time that the moment comes which the test named."""
        if moment == self.freeze_at and f"froze {moment}\n" not in self.journal.read_text():
            self.note(f"froze {moment}")
            os.kill(os.getpid(), signal.SIGSTOP)
        if moment == self.die_at and f"died {moment}\n" not in self.journal.read_text():
            self.note(f"died {moment}")
            os.killpg(0, signal.SIGKILL)

    def note(self, line: str) -> None:
        # One write of a short line to a file opened for appending is whole or absent.
        handle = os.open(self.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{line}\n".encode())
        os.close(handle)


@dataclass(frozen=True)
class NotingPipeline(Pipeline):
    """A pipeline that notes what it is asked, and takes its time."""

    script: Script = field(kw_only=True)

    def answer(self, questions: Sequence[str]):  # type: ignore[no-untyped-def]
        if len(questions) > 1:
            self.script.note(f"{self.arm} {questions[0]}")
            time.sleep(self.script.block_s)
        answers = super().answer(questions)
        if len(questions) > 1:
            self.script.reach(f"answered {self.arm}")
        return answers


class OneHotEmbedder:
    name = "one-hot"
    fingerprint = "one-hot"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.eye(len(texts), 4096, dtype=np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


class ScriptedComposition:
    """Four candidates, of which one needs an index and one an adapter, and a reference."""

    stage_markers: Sequence[Path] = ()
    answered = staticmethod(answer_in_turn)

    def __init__(
        self, script: Script, settings: ComparisonSettings, directory: DataDirectory, hold: Hold = build_alone
    ) -> None:
        self.settings = settings
        self.model: LanguageModel = FakeLM(answer, name="scripted", context_tokens=4096)
        self.embedder: Embedder = OneHotEmbedder()
        self.judge: LanguageModel | None = None
        self._script = script
        self._directory = directory
        self._hold = hold

    def model_of(self, _: str) -> LanguageModel:
        return self.model

    def arms(self, dataset: Dataset) -> Iterator[Arm]:
        for kind in arm_names(self.settings, dataset):
            yield self.arm(kind, dataset)

    def build_stage(self, dataset: Dataset, training: object) -> None:
        self._build("indexes" if training is None else "adapters")

    def arm(self, kind: str, dataset: Dataset) -> Arm:
        if kind == "rag":
            self._build("indexes")
        if kind == "fine-tuned":
            self._build("adapters")
        generation = GenerationConfig(max_output_tokens=dataset.card.max_output_tokens)
        role = ArmRole.CANDIDATE if kind in ARMS else ArmRole.REFERENCE
        builder = QuestionOnly(kind) if kind in ("base", "majority") else FewShot.from_training(dataset.training_view())
        # Each arm is a model of its own name, or their answers would be one and the same stage.
        model = FakeLM(answer, name=f"scripted {kind}", context_tokens=4096)
        pipeline = NotingPipeline(kind, model, builder, generation, BuildUsage(), script=self._script)
        return Arm(pipeline, role, kind, device="cpu")

    def close(self) -> None:
        self._script.reach("closed")

    def _build(self, kind: str) -> None:
        folder = self._directory.stage(kind, f"{kind}-of-the-test")
        self._script.reach(f"before {kind}")
        with self._hold(self._directory, folder, lambda: None):
            if not folder.exists():
                self._script.note(f"built {kind} {Path(os.environ.get('TUNING_FORK_CACHE', '')).name}".rstrip())
                staged = folder.with_name(f".{folder.name}.building")
                staged.mkdir(exist_ok=True)
                time.sleep(self._script.block_s)
                write_whole(staged / "content", "whole")
                self._script.reach(f"building {kind}")
                staged.rename(folder)
            self._script.reach(f"built {kind}")
        assert (folder / "content").read_text() == "whole"


def answer(prompt: Messages) -> str:
    """Right where worked examples are given and the number is even, otherwise wrong."""
    number = "".join(filter(str.isdigit, prompt[-1].content))
    return f"c{number}" if len(prompt) > 1 and int(number) % 2 == 0 else "c0"


def main() -> None:
    *arguments, journal, die_at, freeze_at, block_s = sys.argv[1:]
    # Short, so that a test need not wait long for the comparison of a frozen job.
    comparison_lock.SILENCE_S, comparison_lock.PING_S = 3, 0.5
    script = Script(Path(journal), die_at, freeze_at, float(block_s))
    tell = JobWatch._tell

    def tell_and_die(watch: JobWatch, progress: Progress) -> None:
        tell(watch, progress)
        script.reach(f"told {progress.stage} {progress.arm} {progress.done}".replace("  ", " "))

    JobWatch._tell = tell_and_die  # type: ignore[method-assign]

    def compose(settings: ComparisonSettings, directory: DataDirectory, on_progress: OnProgress) -> ScriptedComposition:
        on_progress(Progress("start", "", 0, 1))
        return ScriptedComposition(script, settings, directory)

    sys.exit(job_process(lambda *_: (compose, lambda *_: "scripted"), arguments))


if __name__ == "__main__":
    main()
