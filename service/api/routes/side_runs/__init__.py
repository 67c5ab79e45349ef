"""Side runs: what all kinds have, and how each is created."""
