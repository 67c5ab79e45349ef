"""Tuning: low-rank adapters trained on the training view of a dataset."""

FORMAT = 2
"""Raise it when adapters change for equal inputs; `service.store.stages.stage_key` names stages by it."""
