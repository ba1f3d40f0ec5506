"""Adapters: implementations of the ports for one storage, registry or cloud each."""
