"""What a report draws, each picture with its table."""
