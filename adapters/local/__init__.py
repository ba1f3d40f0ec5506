"""The laptop: Delta tables, DuckDB, files under one state directory."""
