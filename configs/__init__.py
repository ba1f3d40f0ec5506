"""The settings (`base.yaml`), the profiles of machines and clouds, and the contracts (`datasets/`), as package data."""
