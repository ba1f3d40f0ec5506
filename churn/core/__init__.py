"""What every room may use: errors, times, digests, words for numbers, YAML, progress."""
