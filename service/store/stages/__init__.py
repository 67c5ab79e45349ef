"""What is expensive and kept: how indexes, adapters and answers are named, noted and built once."""
