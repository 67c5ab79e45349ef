"""Models behind an OpenAI-compatible address."""

FORMAT = 3
"""Raise it when a reply is read otherwise: stored answers of hosted models, and no local stage, are then made anew."""
