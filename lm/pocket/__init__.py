"""The embedded causal language model: weights, generator of its training text, training and evaluation."""
