"""The forward pass of training: rows in batches, packed after the beginning they share, and logits of answers."""
