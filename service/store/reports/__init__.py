"""What a finished comparison left, read a page at a time."""
