"""Attacks, a file a family."""
