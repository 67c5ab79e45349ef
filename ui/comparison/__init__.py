"""A comparison on the page: set up, watched, read, and asked what would change it."""
