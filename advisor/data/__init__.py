"""Documents, questions, splits and prompts: what goes into a comparison."""
