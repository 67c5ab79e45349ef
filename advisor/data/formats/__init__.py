"""Formats of other tools: one file a format, one table (`table.FORMATS`), read by content (`reading`)."""
