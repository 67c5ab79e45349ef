"""Tuning: low-rank adapters trained on the training view of a data set."""
