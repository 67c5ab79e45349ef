"""What is typed: a file for each command or group of commands."""
