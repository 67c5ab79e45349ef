"""A comparison held against thresholds and a baseline."""
