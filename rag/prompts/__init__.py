"""Prompts with what was retrieved in them."""
