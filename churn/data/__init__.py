"""From a source of rows to a training set: contract, validation, labels, snapshot, leakage checks."""
