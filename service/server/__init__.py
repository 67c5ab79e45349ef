"""Processes: the service itself and the page."""
