from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from finetune.event_files import EventFiles
from finetune.progress import EpochResult, TrainingEvent


def test_events_are_on_disk_as_soon_as_they_are_told(tmp_path: Path) -> None:
    files = EventFiles(tmp_path / "run")
    epochs = (EpochResult(1, 1.5, 1.25, 0.0, 1e-3, 4.0),)
    files.write(TrainingEvent(1, 1, 2, 2.0, None, 1e-3, 2.0, 500, 1000))
    files.write(TrainingEvent(1, 2, 2, float("nan"), None, 1e-3, 4.0, 1000, 1000))
    files.write(TrainingEvent(1, 2, 2, 1.5, 1.25, 1e-3, 4.0, 1000, 2000, epochs))
    read = EventAccumulator(str(tmp_path / "run"))
    read.Reload()
    found = {
        tag.removeprefix("training/"): [
            (e.step, round(float(e.tensor_proto.float_val[0]), 4)) for e in read.Tensors(tag)
        ]
        for tag in read.Tags()["tensors"]
    }
    files.close()
    assert found["train_loss"] == [(1, 2.0)]
    assert (found["epoch_train_loss"], found["validation_loss"]) == ([(2, 1.5)], [(2, 1.25)])
    assert found["tokens_per_s"] == [(1, 250.0), (2, 250.0), (2, 250.0)]
    assert found["peak_memory_bytes"][-1] == (2, 2000.0)
