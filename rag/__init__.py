"""Retrieval: chunks, embeddings, the index, and the prompt builder made of them."""

FORMAT = 2
"""Raise it when chunks or prompts change for equal inputs; `service.store.stages.stage_key` names stages by it."""
