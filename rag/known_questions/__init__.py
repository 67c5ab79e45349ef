"""Arms of training questions: the nearest of them found, and what answers or prompts are made of it."""
