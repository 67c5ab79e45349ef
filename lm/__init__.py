"""Language models: one batch-first protocol, one way of counting tokens, so that every arm's cost is counted alike."""
