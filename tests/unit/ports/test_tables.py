"""References to tables, as they are stored."""

from __future__ import annotations

from churn.ports.tables import TableRef


def test_a_reference_that_was_stored_with_a_digest_is_still_read() -> None:
    stored = (
        '{"dataset": "churn_telco", "name": "churn_features", "version": 3, "rows": 7043, '
        '"digest": "00112233445566778899aabbccddeeff", "key": ["customer_id", "transaction_ts"], "uri": "/tables/f"}'
    )
    ref = TableRef.model_validate_json(stored)
    assert ref.content_id == "00112233445566778899aabbccddeeff"
    assert TableRef.model_validate_json(ref.model_dump_json()) == ref
