"""`tuningfork export`: its command, and the tools it writes to."""
