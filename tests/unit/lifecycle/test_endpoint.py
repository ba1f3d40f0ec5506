"""What the endpoint answers, which version does, and what happens where a part of it is gone."""

from __future__ import annotations

import datetime as dt

import pytest

from churn.core.errors import ChurnError, DataError, NotFound, StoreError
from tests.fakes.data.deciding import MODEL
from tests.fakes.data.endpoint import FULL, NOW, PUBLICATION, EndpointCase, Gone
from tests.fakes.ports.online import InMemoryOnlineStore


def ready(*overrides: str, **options: object) -> EndpointCase:
    case = EndpointCase(*overrides, **options)  # type: ignore[arg-type]
    assert case.endpoint.refresh()
    return case


def expected(case: EndpointCase, version: int = 1, **changed: object) -> float:
    import pandas as pd

    return float(case.scorer(version).score(pd.DataFrame([{**FULL, **changed}])).probability.iloc[0])


def test_a_key_alone_is_answered_with_the_features_that_are_online() -> None:
    case = ready()
    case.online_features("7590-VHVEG", tenure=30.0)
    answers = case.endpoint.answer([{"customer_id": "7590-VHVEG"}], explain=True)
    (row,) = answers.rows
    assert row.score is not None
    assert (row.customer, row.status, row.features_at) == ("7590-VHVEG", "ok", NOW)
    assert row.score.probability == expected(case, tenure=30)
    assert row.score.reasons[1] == "length of the contract: Month-to-month (+0.90)"
    assert (answers.served.name, answers.served.version) == (MODEL, 1)


def test_what_a_request_brings_beside_the_key_takes_the_place_of_what_is_online() -> None:
    case = ready()
    case.online_features("a")
    (row,) = case.endpoint.answer([{"customer_id": "a", "contract": "Two year"}], explain=False).rows
    assert row.score is not None
    assert row.score.probability == expected(case, contract="Two year")
    assert row.score.reasons == ()


@pytest.mark.parametrize("key", ["17", 17, 17.0, " 17 "])
def test_a_key_has_one_spelling(key: object) -> None:
    case = ready()
    case.online_features("17")
    (row,) = case.endpoint.answer([{"customer_id": key}], explain=False).rows
    assert (row.customer, row.status) == ("17", "ok")


def test_a_whole_row_needs_no_online_store() -> None:
    case = ready(online=Gone())
    rows = [FULL, {"customer_id": "a", **FULL}]
    first, second = case.endpoint.answer(rows, explain=False).rows
    assert first.score == second.score
    assert (first.customer, second.customer, first.features_at) == (None, "a", None)
    with pytest.raises(StoreError, match="does not answer"):
        case.endpoint.answer([{"customer_id": "a"}], explain=False)


def test_an_unknown_customer_and_stale_features_are_two_answers() -> None:
    case = ready("serving.stale_after_days=7")
    case.online_features("old", at=NOW - dt.timedelta(days=7, seconds=1))
    case.online_features("new", at=NOW - dt.timedelta(days=7))
    rows = case.endpoint.answer([{"customer_id": name} for name in ("old", "new", "nobody")], explain=False).rows
    assert [(row.status, row.score is not None) for row in rows] == [("stale", True), ("ok", True), ("unknown", False)]


def test_features_are_stale_after_the_outcome_window_where_nothing_is_set() -> None:
    case = ready()
    case.online_features("a", at=NOW - dt.timedelta(days=31))
    assert case.endpoint.answer([{"customer_id": "a"}], explain=False).rows[0].status == "stale"


def test_features_from_the_future_are_used_as_they_are() -> None:
    case = ready()  # its clock is behind that of the machine which published
    case.online_features("a", at=NOW + dt.timedelta(days=2), tenure=30.0)
    (row,) = case.endpoint.answer([{"customer_id": "a"}], explain=False).rows
    assert row.score is not None
    assert (row.status, row.features_at) == ("ok", NOW + dt.timedelta(days=2))
    assert row.score.probability == expected(case, tenure=30)


def test_a_store_that_was_never_published_shows_in_the_readiness() -> None:
    assert ready().endpoint.readiness.degraded == ()
    case = EndpointCase()
    case.online = InMemoryOnlineStore()
    case.endpoint.refresh()
    (trouble,) = case.endpoint.readiness.degraded
    assert "Nothing is in the online store yet: publish by `python run.py features publish`" in trouble
    assert "Rows with every input are answered meanwhile" in trouble
    first, second = case.endpoint.answer([FULL, {"customer_id": "a"}], explain=False).rows
    assert (first.status, second.status) == ("ok", "unknown")


def test_features_of_another_contract_are_an_error_and_no_score() -> None:
    case = ready()
    case.online_features("a")
    held = case.online.held["a"]  # type: ignore[attr-defined]
    case.online.held["a"] = held._replace(values={"plan": "basic", "tenure": 3.0})  # type: ignore[attr-defined]
    with pytest.raises(
        StoreError, match=r"has no 'contract', which version 1 reads: .* `python run.py features publish --full`"
    ):
        case.endpoint.answer([{"customer_id": "a"}], explain=False)
    given = {name: value for name, value in FULL.items() if name != "tenure"}
    (row,) = case.endpoint.answer([{"customer_id": "a", **given}], explain=False).rows
    assert row.status == "ok"


def test_a_store_of_another_data_set_is_an_error_and_nobody_is_unknown() -> None:
    case = ready()
    case.online_features("a")
    features = PUBLICATION.features.model_copy(update={"dataset": "pool"})
    case.online.recorded(PUBLICATION.model_copy(update={"features": features}))  # type: ignore[attr-defined]
    case.endpoint.refresh()
    (trouble,) = case.endpoint.readiness.degraded
    assert "holds customers of 'pool', and this endpoint is that of 'gym': let `profile.online` name another" in trouble
    for customer in ("a", "nobody"):
        with pytest.raises(StoreError, match="holds customers of 'pool'"):
            case.endpoint.answer([{"customer_id": customer}], explain=False)
    assert case.endpoint.answer([FULL], explain=False).rows[0].status == "ok"
    case.online.recorded(PUBLICATION)  # type: ignore[attr-defined]
    case.endpoint.refresh()
    assert case.endpoint.readiness.degraded == ()
    assert case.endpoint.answer([{"customer_id": "a"}], explain=False).rows[0].status == "ok"


def test_a_store_that_lacks_a_column_of_the_contract_shows_in_the_readiness() -> None:
    case = ready()
    columns = {name: kind for name, kind in PUBLICATION.columns.items() if name != "tenure"}
    case.online.recorded(PUBLICATION.model_copy(update={"columns": columns}))  # type: ignore[attr-defined]
    case.endpoint.refresh()
    (trouble,) = case.endpoint.readiness.degraded
    assert "has no 'tenure', which the contract has: publish by `python run.py features publish --full`" in trouble


def test_a_new_customer_with_all_that_may_not_be_missing_is_scored_as_given() -> None:
    case = ready()
    given = {name: value for name, value in FULL.items() if name != "total_charges"}
    (row,) = case.endpoint.answer([{"customer_id": "new", **given}], explain=False).rows
    assert row.score is not None
    assert (row.status, row.features_at) == ("ok", None)
    assert row.score.probability == expected(case, total_charges=None)


def test_a_row_that_names_nobody_and_lacks_a_column_is_refused_with_its_name() -> None:
    with pytest.raises(DataError, match=r"neither the customer's key 'customer_id', .* nor 'monthly_charges'"):
        ready().endpoint.answer([{"contract": "Two year", "tenure": 1}], explain=False)


@pytest.mark.parametrize("key", [True, ["a"], {"id": 1}])
def test_a_key_of_another_type_is_refused(key: object) -> None:
    with pytest.raises(DataError, match=r"The customer's key 'customer_id' is .*: give a text or a number"):
        ready().endpoint.answer([{"customer_id": key, **FULL}], explain=False)


@pytest.mark.parametrize("value", [[1], {"a": 1}])
def test_a_value_that_is_a_list_or_an_object_is_refused(value: object) -> None:
    with pytest.raises(DataError, match=r"'tenure' is .*: give a number, a text, true, false or null"):
        ready().endpoint.answer([{**FULL, "tenure": value}], explain=False)


def test_columns_that_nobody_knows_are_said_or_refused() -> None:
    asked = [{**FULL, "tenurre": 3, "price_rise": 1.0}]
    assert ready().endpoint.answer(asked, explain=False).ignored == ["tenurre"]
    with pytest.raises(DataError, match="'tenurre' is no column of 'gym'; did you mean 'tenure'"):
        ready("serving.unknown_columns=refuse").endpoint.answer(asked, explain=False)


def test_a_value_that_training_did_not_know_is_scored_as_missing_and_counted() -> None:
    case = ready()
    answers = case.endpoint.answer([{**FULL, "contract": "Lifetime"}, FULL], explain=False)
    assert answers.unseen == {"contract": 1}
    assert answers.rows[0].score is not None
    assert answers.rows[0].score.probability == expected(case, contract=None)


@pytest.mark.parametrize(("sent", "counted"), [("many", 1), ("12", 0), ("", 0), (None, 0), (12, 0)])
def test_a_text_where_a_number_belongs_is_scored_as_missing_and_counted(sent: object, counted: int) -> None:
    answers = ready().endpoint.answer([{**FULL, "tenure": sent}, FULL], explain=False)
    assert answers.unseen == ({"tenure": 1} if counted else {})
    assert answers.rows[0].score is not None


def test_a_promotion_and_a_rollback_change_the_version_that_answers() -> None:
    case = ready()
    assert not case.endpoint.refresh()
    case.office.go_live(2)
    assert case.endpoint.answer([FULL], explain=False).served.version == 1
    assert case.endpoint.refresh()
    answers = case.endpoint.answer([FULL], explain=False)
    assert answers.rows[0].score is not None
    assert (answers.served.version, answers.rows[0].score.probability) == (2, expected(case, version=2))
    assert case.loaded == [1, 2]


def test_a_version_that_cannot_be_loaded_leaves_the_old_one_answering_and_says_so() -> None:
    case = ready()
    case.office.go_live(2)
    case.broken.add(2)
    assert not case.endpoint.refresh()
    readiness = case.endpoint.readiness
    assert (readiness.ready, readiness.version, readiness.degraded) == (True, 1, ("The files of version 2 are gone.",))
    case.broken.clear()
    assert case.endpoint.refresh()
    assert case.endpoint.readiness.degraded == ()


def test_an_online_store_that_goes_away_and_comes_back_shows_in_the_readiness() -> None:
    store = Gone()
    case = ready(online=store)
    said = "The online store does not answer. Rows with every input are answered meanwhile."
    assert (case.endpoint.readiness.ready, case.endpoint.readiness.degraded) == (True, (said,))
    store.gone = False
    assert not case.endpoint.refresh()
    assert case.endpoint.readiness.degraded == ()


def test_a_registry_of_other_models_changes_nothing_that_is_loaded() -> None:
    case = ready()
    case.office.make_anew(1)
    assert not case.endpoint.refresh()
    assert case.endpoint.readiness.version == 1
    assert "digest" in case.endpoint.readiness.degraded[0]


def test_before_anything_is_live_the_endpoint_does_not_start() -> None:
    case = EndpointCase(live=())
    with pytest.raises(NotFound, match="has no @Champion to score with"):
        case.endpoint.refresh()
    assert not case.endpoint.readiness.ready
    with pytest.raises(NotFound, match="No version of churn_gym is loaded"):
        case.endpoint.answer([FULL], explain=False)


def test_a_first_version_that_cannot_be_loaded_ends_the_start() -> None:
    case = EndpointCase()
    case.broken.add(1)
    with pytest.raises(ChurnError, match="The files of version 1 are gone"):
        case.endpoint.refresh()
