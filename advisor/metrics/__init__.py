"""Metrics: how good one answer is, by many definitions. `advisor.metrics.registry` is the table of them."""
