"""What every room may use: errors, times, digests, wording of numbers, YAML, progress."""
