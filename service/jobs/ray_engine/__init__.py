"""The Ray engine: indexes, adapters and answers of a comparison are made on the nodes of a cluster (ADR 16)."""
