"""Databricks: tables, decisions and files in Unity Catalog, jobs and the workspace itself, by Spark and the SDK."""
