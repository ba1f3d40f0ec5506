"""Spark: the same scoring, features and joins as on a laptop, spread over the cores of one machine or of a cluster."""
