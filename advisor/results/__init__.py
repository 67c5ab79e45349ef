"""Answers, scores and the comparison that is reported, as plain data and as files."""
