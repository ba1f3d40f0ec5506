"""The gate: whether a challenger may replace the champion, how sure that is, and why."""
