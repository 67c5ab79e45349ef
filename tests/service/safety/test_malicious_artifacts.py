from pathlib import Path

import pytest

from service.safety.prepare import UnfitUploadError
from tests.service.safety.conftest import Prepare
from tests.service.safety.malicious_artifacts import ARTIFACTS, Artifact


def test_there_are_thirty_of_them() -> None:
    assert len({artifact.name for artifact in ARTIFACTS}) == len(ARTIFACTS) >= 30


@pytest.mark.parametrize("artifact", ARTIFACTS, ids=lambda artifact: artifact.name)
def test_nothing_is_run_and_nothing_written_elsewhere(
    artifact: Artifact, prepare: Prepare, tmp_path_factory: pytest.TempPathFactory
) -> None:
    marker: Path = tmp_path_factory.mktemp("marker") / "was-here"
    files = artifact.make(marker)
    if artifact.is_taken:
        made = prepare(files)
        assert set(made.files) <= {"dataset.toml", "documents.jsonl", "questions.jsonl"}
    else:
        with pytest.raises(UnfitUploadError) as caught:
            prepare(files)
        assert caught.value.problems
        assert all(problem.message for problem in caught.value.problems)
    assert not marker.exists()
