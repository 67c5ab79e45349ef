"""Attacks of strangers on a real service, each beside a caller who has nothing to do with them."""
