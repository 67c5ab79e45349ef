"""Who computes: the engine that starts jobs, the job itself, and who watches over it."""
