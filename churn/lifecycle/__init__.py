"""The use cases: what a step, a command, a job or a notebook calls."""
