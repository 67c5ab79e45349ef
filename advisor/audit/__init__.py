"""What would make a comparison unfair or its figures misleading. docs/audit.md explains every check."""
