"""Answers, scores and the comparison that is reported, as plain data and as files."""

FORMAT = 1
"""Raise it when answers change for equal inputs; `service.store.stages.stage_key` names stages by it."""
