"""Documents, questions, splits and prompts: what goes into a comparison."""

FORMAT = 1
"""Raise it when prompts or examples change for equal inputs; `service.store.stage_key` names stages by it."""
