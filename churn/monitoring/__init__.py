"""Monitoring: profiles of predictions, drift, performance with and without outcomes, diagnosis."""
