"""Answering questions with the arms of finished comparisons: loaded once, batched across callers."""
