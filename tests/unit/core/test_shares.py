"""Shares of the customers, drawn by a hash."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.core.shares import hash_share, hash_shares

CUSTOMERS = [f"customer-{number}" for number in range(20_000)]


def test_as_many_customers_are_drawn_as_the_share_says() -> None:
    assert abs(hash_shares(CUSTOMERS, 0.2, "churn").mean() - 0.2) < 0.01


def test_nobody_is_in_a_share_of_nothing_and_everybody_in_the_whole() -> None:
    assert not hash_shares(CUSTOMERS, 0.0, "churn").any()
    assert hash_shares(CUSTOMERS, 1.0, "churn").all()


def test_whether_a_customer_is_drawn_does_not_depend_on_the_others() -> None:
    before = hash_shares(CUSTOMERS[:100], 0.2, "churn")
    after = hash_shares(CUSTOMERS[::-1], 0.2, "churn")[::-1][:100]
    np.testing.assert_array_equal(before, after)


def test_a_greater_share_contains_the_smaller_one() -> None:
    small, large = (hash_shares(CUSTOMERS, share, "churn") for share in (0.1, 0.3))
    assert large[small].all()
    assert large.sum() > small.sum()


def test_another_salt_draws_other_customers() -> None:
    assert (hash_shares(CUSTOMERS, 0.2, "churn") != hash_shares(CUSTOMERS, 0.2, "anew")).any()


@pytest.mark.slow
@settings(deadline=None)
@given(st.text(min_size=1).filter(lambda text: "\x00" not in text and text.isprintable()))
def test_sql_draws_the_same_customers(key: str) -> None:
    digits = duckdb.execute("SELECT ('0x' || substr(md5('churn:' || ?), 1, 8))::UBIGINT", [key]).fetchone()
    assert digits is not None
    drawn = digits[0] < 0.2 * 2**32
    assert hash_share(key, 0.2, "churn") == drawn
    assert hash_shares([key, key], 0.2, "churn").tolist() == [drawn, drawn]
