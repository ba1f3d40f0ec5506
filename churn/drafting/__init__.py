"""Drafting a dataset contract from a sample of a table."""
