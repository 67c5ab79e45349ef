"""The page: a client of the service."""
