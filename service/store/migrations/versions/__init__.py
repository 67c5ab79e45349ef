"""Named by their order; each knows the one before it."""
