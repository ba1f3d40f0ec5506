from __future__ import annotations

import duckdb
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from churn.core.shares import side_of, sides_of

CUSTOMERS = [f"customer-{number}" for number in range(20_000)]


def test_the_holdout_has_its_share_of_the_customers() -> None:
    share = np.mean(sides_of(CUSTOMERS, 0.2, "churn") == "holdout")
    assert abs(share - 0.2) < 0.01


def test_a_customer_stays_on_its_side_when_others_join() -> None:
    before = sides_of(CUSTOMERS[:100], 0.2, "churn")
    after = sides_of(CUSTOMERS[::-1], 0.2, "churn")[::-1][:100]
    assert (before == after).all()


def test_a_greater_holdout_keeps_the_customers_it_had() -> None:
    small, large = (sides_of(CUSTOMERS, share, "churn") == "holdout" for share in (0.1, 0.3))
    assert large[small].all()
    assert large.sum() > small.sum()


def test_another_salt_gives_another_split() -> None:
    assert (sides_of(CUSTOMERS, 0.2, "churn") != sides_of(CUSTOMERS, 0.2, "anew")).any()


@given(st.text(min_size=1).filter(lambda text: "\x00" not in text and text.isprintable()))
def test_sql_computes_the_same_side(entity: str) -> None:
    digits = duckdb.execute("SELECT ('0x' || substr(md5('churn:' || ?), 1, 8))::UBIGINT", [entity]).fetchone()
    assert digits is not None
    assert side_of(entity, 0.2, "churn") == ("holdout" if digits[0] < 0.2 * 2**32 else "train")
