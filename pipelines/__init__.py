"""The pipelines: names and arrows only."""
