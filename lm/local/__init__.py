"""Models computed on this machine: loading, prompts read once, constrained decoding, adapters."""
