"""Programs that are handed over as they are: plain libraries, nothing of ours, and JSON beside them."""
