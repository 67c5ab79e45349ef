"""One comparison from settings to report."""
