"""Checks of a dataset: they need no model."""
