"""An index that was deleted or damaged under a finished comparison comes back."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from lm.fake import FakeLM
from service.jobs.job import JobEnd, run_job
from service.run.settings import ComparisonSettings
from service.serving.arms import Arms
from service.serving.errors import NotServableError
from service.serving.limits import ServingLimits
from service.serving.pipelines import ServedPipelines
from service.serving.servable import read_servable
from service.store.comparisons.comparison_store import create_comparison, find_comparison
from service.store.data_directory import DataDirectory
from tests.chaos.workplace import COMPARISON, create_dataset_and_comparison, dataset_of
from tests.service.serving.conftest import ScriptedLocal, WordEmbedder, say


class Jobs:
    """Comparisons in a database, the real jobs that make them, and what serves them."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self.engine, self.directory = engine, DataDirectory(root / "home")
        self.compositions: list[ScriptedLocal] = []
        create_dataset_and_comparison(engine, dataset_of(30), model="hf:scripted", arms=("base", "rag"))
        self.serve_anew()

    def serve_anew(self) -> None:
        """As after a restart."""
        arms = Arms(
            self.directory,
            ServingLimits(),
            load_model=lambda settings: FakeLM(say, name=settings.model),
            load_embedder=lambda _: WordEmbedder(),
        )
        self.served = ServedPipelines(self.directory, partial(read_servable, self.engine, self.directory), arms=arms)

    def run(self, comparison_id: str) -> int:
        """Run a comparison to its end; how many questions were asked."""

        def compose(settings: ComparisonSettings, directory: DataDirectory, on_progress: Any) -> ScriptedLocal:
            self.compositions.append(ScriptedLocal(settings, directory, on_progress))
            return self.compositions[-1]

        self.compositions.clear()
        end = run_job(self.engine, self.directory, comparison_id, compose, lambda spec, _: spec)
        assert end is JobEnd.OVER
        assert find_comparison(self.engine, comparison_id).state == "succeeded"
        return sum(len(composition.model.calls) for composition in self.compositions)

    def again(self) -> str:
        """A comparison with the same settings."""
        first = find_comparison(self.engine, COMPARISON)
        create_comparison(
            self.engine, comparison_id="again", name="again", dataset=first.dataset, settings=first.settings
        )
        return "again"

    def ask(self, ask: Any, comparison_id: str) -> Any:
        return ask(self.served.answer(comparison_id, "rag", ["Which colour has number 7?"]))[0].answer


@pytest.fixture
def jobs(engine: Engine, tmp_path: Path) -> Iterator[Jobs]:
    jobs = Jobs(engine, tmp_path)
    yield jobs
    jobs.served.close()


@pytest.mark.parametrize("lost", ["stages/indexes", "stages"])
def test_the_same_comparison_again_builds_what_was_deleted_and_asks_nothing(jobs: Jobs, ask: Any, lost: str) -> None:
    assert jobs.run(COMPARISON) > 0
    shutil.rmtree(jobs.directory.root / lost)
    with pytest.raises(NotServableError, match=r"create a comparison with the same settings \(POST /v1/comparisons"):
        jobs.ask(ask, COMPARISON)
    assert jobs.run(jobs.again()) == 0
    first, again = (jobs.ask(ask, comparison_id) for comparison_id in (COMPARISON, "again"))
    assert (again.text, again.retrieved) == (first.text, first.retrieved)
    assert len(again.retrieved) == 3


def test_an_index_that_was_damaged_is_set_aside_and_built_again_when_it_is_asked(
    jobs: Jobs, ask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    jobs.run(COMPARISON)
    indexes = jobs.directory.root / "stages" / "indexes"
    for name in ("vectors.npy", "data_level0.bin"):
        (path,) = indexes.glob(f"[!.]*[!d]/**/{name}")
        content = path.read_bytes()
        path.write_bytes(content[:64] + bytes(byte ^ 1 for byte in content[64:]))
        assert len(jobs.ask(ask, COMPARISON).retrieved) == 3
        assert "and built again" in caplog.text
        caplog.clear()
        jobs.served.close()
        jobs.serve_anew()
    assert [path.is_dir() for path in indexes.glob("*.damaged")] == [True]
    # Built as it was measured: the next comparison finds it, and asks nothing.
    assert jobs.run(jobs.again()) == 0


def test_the_same_comparison_again_loads_nothing_while_everything_is_there(jobs: Jobs) -> None:
    jobs.run(COMPARISON)
    jobs.run(jobs.again())
    assert jobs.compositions == []
