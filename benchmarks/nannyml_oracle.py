"""What NannyML's CBPE estimates for 5,000 rows, as numbers for tests/unit/monitoring/test_performance.py.

    python3.11 -m venv /tmp/oracle && /tmp/oracle/bin/pip install nannyml==0.13.1
    /tmp/oracle/bin/python benchmarks/nannyml_oracle.py

NannyML is no dependency: it caps the versions of others. The rows are drawn as the test draws them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from nannyml import CBPE


def main() -> None:
    random = np.random.default_rng(7)
    p = 1 / (1 + np.exp(-random.normal(-1.3, 1.3, 10_000)))
    y = (random.uniform(size=10_000) < p).astype(int)
    rows = pd.DataFrame({"p": p, "y": y, "treated": (p > 0.2).astype(int)})
    estimator = CBPE(
        problem_type="classification_binary",
        y_pred_proba="p",
        y_pred="treated",
        y_true="y",
        metrics=["roc_auc", "f1"],
        chunk_size=5_000,
    ).fit(rows[:5_000])
    found = estimator.estimate(rows[5_000:].drop(columns="y")).to_df()
    for name in ("roc_auc", "f1"):
        print(name, found[name, "value"].iloc[-1], found[name, "sampling_error"].iloc[-1])


if __name__ == "__main__":
    main()
