"""Businesses that live through months, with the true churn probability of every row known."""
