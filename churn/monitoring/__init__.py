"""Monitoring: what predictions look like, how they differ from before, how well they do, and what that means."""
