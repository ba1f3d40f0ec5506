"""Batch inference: every current customer scored by the champion, into one table."""
