"""Sections of a report, each in sentences and tables that every format draws."""
