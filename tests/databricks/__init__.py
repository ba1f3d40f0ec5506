"""A workspace on this machine, and what only such a workspace can prove."""
