"""Exactly what a registered model carries: from raw contract columns to decisions and reasons."""
