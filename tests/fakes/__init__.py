"""In-memory adapters: each subclasses a port and passes its contract suite."""
