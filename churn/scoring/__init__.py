"""One scoring of rows, for a batch, for Spark and for a single customer, and what would change a decision."""
