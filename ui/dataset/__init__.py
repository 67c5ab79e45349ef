"""A dataset on the page: chosen, uploaded, looked through, changed and reviewed."""
