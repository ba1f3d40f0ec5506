"""Which version answers whom while one is rolled out beside the champion, and what its failures do."""

from __future__ import annotations

import pandas as pd
import pytest

from churn.approval.promote import promote, rollback
from churn.approval.rollout import abort, advance
from churn.approval.settings import RolloutSettings
from churn.core.errors import DataError, StoreError
from churn.core.shares import hash_share
from tests.fakes.data.endpoint import FULL, EndpointCase, Gone

pytestmark = pytest.mark.slow

KEYS = [f"c{number}" for number in range(400)]
ROWS = [{"customer_id": key, **FULL} for key in KEYS]


def ready(live: tuple[int, ...] = (1,)) -> EndpointCase:
    case = EndpointCase(live=live)
    case.endpoint.refresh()
    return case


def probability(case: EndpointCase, version: int) -> float:
    return float(case.scorer(version).score(pd.DataFrame([FULL])).probability.iloc[0])


def versions(case: EndpointCase) -> dict[str, int]:
    """Ask for each customer alone, and return which version answered; it must say what that version says."""
    found, expected = {}, {version: probability(case, version) for version in (1, 2, 3)}
    for row in ROWS:
        answers = case.endpoint.answer([row], explain=False)
        (answer,) = answers.rows
        assert answer.score is not None
        [served] = answers.versions
        assert served == answers.by(0)
        assert answer.score.probability == expected[served.version]
        found[str(row["customer_id"])] = served.version
    return found


def test_a_share_of_the_customers_is_answered_by_the_challenger_by_hash_of_their_key() -> None:
    case = ready()
    rollout = case.roll_out(share=0.25)
    found = versions(case)
    assert found == {key: 2 if hash_share(key, 0.25, rollout.identity) else 1 for key in KEYS}
    assert 0.15 < sum(version == 2 for version in found.values()) / len(KEYS) < 0.35
    assert versions(case) == found


def test_another_process_draws_the_same_customers() -> None:
    case, other = ready(), EndpointCase()
    case.roll_out()
    other.office = case.office
    other.endpoint.refresh()
    assert versions(other) == versions(case)


def test_a_step_adds_customers_and_takes_none_away() -> None:
    case = ready()
    case.roll_out(share=0.1)
    before = versions(case)
    advance(case.office.context, RolloutSettings(), share=0.5, who="ada")
    case.endpoint.refresh()
    after = versions(case)
    assert {key for key in KEYS if before[key] == 2} < {key for key in KEYS if after[key] == 2}


def test_rows_of_one_request_are_answered_each_by_its_version_in_their_order() -> None:
    case = ready()
    case.roll_out()
    alone = versions(case)
    answers = case.endpoint.answer([*ROWS, FULL], explain=False)
    assert [served.version for served in answers.versions] == [1, 2]
    assert [answer.customer for answer in answers.rows] == [*KEYS, None]
    by = [answers.by(number).version for number in range(len(answers.rows))]
    assert by == [*alone.values(), 1]  # a row without a key is the champion's
    for answer, version in zip(answers.rows, by, strict=True):
        assert answer.score is not None
        assert answer.score.probability == probability(case, version)


def test_values_that_training_did_not_know_are_counted_over_both_versions() -> None:
    case = ready()
    case.roll_out()
    answers = case.endpoint.answer([{**row, "contract": "Lifetime", "x": 1} for row in ROWS], explain=False)
    assert (answers.unseen, answers.ignored) == ({"contract": len(ROWS)}, ["x"])


def test_a_row_without_a_key_is_always_the_champions() -> None:
    case = ready()
    case.roll_out(share=0.99)
    assert case.endpoint.answer([FULL], explain=False).by(0).version == 1


def test_the_key_has_one_spelling() -> None:
    case = ready()
    rollout = case.roll_out()
    expected = 2 if hash_share("17", 0.5, rollout.identity) else 1
    for key in (17, 17.0, " 17 ", "17"):
        assert case.endpoint.answer([{"customer_id": key, **FULL}], explain=False).by(0).version == expected


def test_in_shadow_the_champion_answers_and_the_challenger_scores_the_same_rows() -> None:
    case = ready()
    case.roll_out(shadow=True)
    assert set(versions(case).values()) == {1}
    shadow = case.endpoint.shadow(ROWS[:3])
    assert shadow is not None
    assert (shadow.served.version, len(shadow.rows), shadow.failed) == (2, 3, ())
    assert shadow.rows[0].score is not None
    assert shadow.rows[0].score.probability == probability(case, 2)


def test_without_a_shadow_nothing_is_scored_beside() -> None:
    case = ready()
    assert case.endpoint.shadow(ROWS) is None
    case.roll_out()
    assert case.endpoint.shadow(ROWS) is None


def test_what_the_challenger_cannot_score_the_champion_answers() -> None:
    case = ready()
    rollout = case.roll_out()
    case.scorers[2].fails = True
    drawn = tuple(number for number, key in enumerate(KEYS) if hash_share(key, 0.5, rollout.identity))
    answers = case.endpoint.answer(ROWS, explain=False)
    assert (answers.versions, answers.failed) == ([case.endpoint.served], drawn)
    assert set(versions(case).values()) == {1}
    case.scorers[2].fails = False
    assert set(versions(case).values()) == {1, 2}


def test_a_failure_in_shadow_is_told_and_touches_no_answer() -> None:
    case = ready()
    case.roll_out(shadow=True)
    case.scorers[2].fails = True
    assert set(versions(case).values()) == {1}
    shadow = case.endpoint.shadow(ROWS[:3])
    assert shadow is not None
    assert [(row.customer, row.status, row.score) for row in shadow.rows] == [(key, "failed", None) for key in KEYS[:3]]
    assert shadow.failed == (0, 1, 2)


def test_a_request_that_cannot_be_answered_is_refused_and_counts_as_no_failure_of_the_challenger() -> None:
    case = EndpointCase(online=Gone())
    case.endpoint.refresh()
    case.roll_out(share=0.99)
    with pytest.raises(DataError, match="'tenure' is"):
        case.endpoint.answer([{"customer_id": "c1", **FULL, "tenure": [1]}], explain=False)
    with pytest.raises(StoreError, match="does not answer"):
        case.endpoint.answer([{"customer_id": "c1"}], explain=False)


def test_a_challenger_that_cannot_be_loaded_is_said_and_the_champion_answers_everybody() -> None:
    case = ready()
    case.broken.add(2)
    case.roll_out()
    readiness = case.endpoint.readiness
    assert (readiness.ready, readiness.version, readiness.challenger, readiness.challenger_share) == (True, 1, 2, 0)
    assert readiness.degraded == (
        "Version 2, which is rolled out, cannot be loaded, and version 1 answers everybody: The files of version 2 are "
        "gone.",
    )
    assert set(versions(case).values()) == {1}
    case.broken.clear()
    case.endpoint.refresh()
    assert (case.endpoint.readiness.challenger_share, case.endpoint.readiness.degraded) == (0.5, ())
    assert set(versions(case).values()) == {1, 2}


def test_a_version_that_is_another_model_than_the_ledger_knows_answers_nobody() -> None:
    case = ready()
    case.office.judge(2)
    case.roll_out()
    case.office.make_anew(2)
    other = EndpointCase()
    other.office = case.office
    with pytest.raises(Exception, match="Version 2 of churn_gym in the registry is another model"):
        other.endpoint.refresh()


def test_the_model_that_is_loaded_is_not_loaded_again_and_goes_when_the_rollout_ends() -> None:
    case = ready()
    case.roll_out()
    case.endpoint.refresh()
    assert case.loaded == [1, 2]
    abort(case.office.context, who="ada", why="No.")
    case.endpoint.refresh()
    readiness = case.endpoint.readiness
    assert (readiness.challenger, readiness.challenger_share, case.endpoint.trial) == (None, 0, None)
    assert set(versions(case).values()) == {1}


def test_a_promotion_of_the_challenger_or_of_another_version_or_a_rollback_ends_it_for_everybody() -> None:
    case = ready()
    case.roll_out()
    promote(case.office.context, 2, who="ada")
    case.endpoint.refresh()
    assert set(versions(case).values()) == {2}
    case.roll_out(3)
    assert set(versions(case).values()) == {2, 3}
    rollback(case.office.context, who="ada", why="No.")
    case.endpoint.refresh()
    assert set(versions(case).values()) == {1}


def test_a_ledger_that_does_not_answer_leaves_the_traffic_as_it_is() -> None:
    case = ready()
    case.roll_out()
    before = versions(case)

    def unreadable() -> object:
        raise StoreError("The ledger does not answer.")

    case.office.ledger.read = unreadable  # type: ignore[assignment, method-assign]
    case.endpoint.refresh()
    assert versions(case) == before
