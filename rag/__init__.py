"""Retrieval: chunks, embeddings, the index, and the prompt builder made of them."""

FORMAT = 1
"""Raise it when chunks, passages or prompts change for equal inputs; `service.store.stage_key` names stages by it."""
