"""The file that an explanation is written to."""

from __future__ import annotations

import pytest

from cli.explain import file_name


@pytest.mark.parametrize("customer", ["7590-VHVEG", "42", "a.b_c"])
def test_a_harmless_id_is_the_name(customer: str) -> None:
    assert file_name(customer) == customer


@pytest.mark.parametrize("customer", ["../../etc/passwd", "a/b", "..", "ü", "x" * 300, "a b", ".hidden", ""])
def test_any_other_id_gives_a_name_in_the_folder(customer: str) -> None:
    name = file_name(customer)
    assert "/" not in name
    assert not name.startswith(".")
    assert 0 < len(name) < 100
    assert name.isascii()


def test_ids_that_look_alike_have_files_of_their_own() -> None:
    assert len({file_name(customer) for customer in ("a/b", "a b", "a_b", "a:b")}) == 4
