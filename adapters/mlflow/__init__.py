"""MLflow: tracker, registry and packages; a laptop and Databricks use the same."""
