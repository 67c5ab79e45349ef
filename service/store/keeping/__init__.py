"""Keeping a home: backup and restore, deletion after a time, erasure of a dataset with all that was made of it."""
