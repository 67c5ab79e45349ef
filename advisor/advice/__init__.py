"""What the answers to a questionnaire speak for, before anything is built."""
