"""`tuningfork ci`: its command, its file, and the same on a server."""
