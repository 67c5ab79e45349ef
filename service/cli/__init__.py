"""What people type: commands, what they print, the CI file, exports."""
