"""Adapters of Databricks: tables and decisions in Unity Catalog, reached through Spark and the SDK."""
