"""The stages of a comparison as people call them."""

_STAGES = {
    "sweep": "Choose settings of retrieval",
    "questions": "Write questions",
    "load": "Start and load the models",
    "index": "Index the documents",
    "tune": "Tune the model",
    "answer": "Answer the test questions",
    "form": "Answer within the form and freely",
    "latency": "Measure latency",
    "score": "Score the answers",
    "report": "Decide and write the report",
}


def stage_name(stage: str, arm: str) -> str:
    """What a stage is called, and whose it is."""
    return _STAGES.get(stage, stage) + (f" · {arm}" if arm else "")
