"""Evaluation of predictions: weighted metrics, bootstrap, slices, profit, importance."""
