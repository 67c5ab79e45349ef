"""Language models: one batch-first protocol, one way of counting tokens, so that every arm's cost is counted alike."""

FORMAT = 1
"""Raise it when tokens or answers change for equal inputs; `service.store.stages.stage_key` names stages by it."""
