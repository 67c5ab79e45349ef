"""Documents, questions, splits and prompts: what goes into a comparison."""

FORMAT = 1
"""Raise it when prompts or examples change for equal inputs; `service.store.stages.stage_key` names stages by it."""
