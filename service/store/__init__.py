"""What is kept: rows, files below the data directory, events, and the migrations."""
