"""Settings, composition of the arms, durable runs and the command line."""
