"""Tuning as a provider's service: one protocol, one file a provider, and a journal by which nothing is bought twice."""
