"""The bounds of confseq that `tests/unit/evaluation/test_sequential.py` holds ours against, by customers and alpha.

    python3.11 -m venv /tmp/oracle && /tmp/oracle/bin/pip install confseq==0.0.11
    /tmp/oracle/bin/python benchmarks/confseq_oracle.py

confseq is no dependency: it is compiled at its installation, which needs Boost.
"""

from __future__ import annotations

from confseq.boundaries import normal_mixture_bound

PLANNED = 10_000.0


def main() -> None:
    for customers in (2, 500, 10_000, 250_000):
        for alpha in (0.05, 0.025, 0.001):
            print((customers, alpha), normal_mixture_bound(float(customers), alpha, PLANNED, alpha, False))


if __name__ == "__main__":
    main()
