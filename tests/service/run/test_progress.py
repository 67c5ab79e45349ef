from service.run.progress import Progress, silent


def test_watching_is_optional() -> None:
    silent(Progress("answer", "rag", 0, 10))


def test_progress_is_a_value() -> None:
    assert Progress("tune", "", 1, 2, "loss 3") == Progress("tune", "", 1, 2, "loss 3")
