"""Retrieval: chunks, embeddings, the index, and the prompt builder made of them."""
