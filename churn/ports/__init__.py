"""What the lifecycle needs from the outside world, one file a port; adapters are tested against the docstrings."""
