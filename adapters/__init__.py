"""The only rooms that know a storage, registry or cloud SDK."""
