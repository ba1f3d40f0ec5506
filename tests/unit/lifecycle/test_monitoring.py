"""Monitoring as a use case: what is measured anew, what the report says, and bad input."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from churn.data.tables import INGESTED_AT
from churn.monitoring.performance import ESTIMATED
from churn.monitoring.report import MonitoringReport
from churn.ports.tables import TableRef, TableSpec
from reports.monitoring_report import monitoring_page
from tests.fakes.data.monitored import CONTRACT, Customers, Watched, day, put_baseline, put_labels, put_window
from tests.fakes.ports.tables import MemoryFeatureStore

pytestmark = pytest.mark.slow

BASE = Customers(700, 1)


def kinds(report: MonitoringReport) -> set[str]:
    return {diagnosis.kind for diagnosis in report.diagnoses}


def watched(*windows: int, rows: int = 400, now: float = 400, **options: Any) -> Watched:
    """Return a data set with a window of customers like those of the baseline on each of the days."""
    made = Watched(baseline=BASE, now=now)
    for number in windows:
        put_window(made.store, Customers(rows, 10 + number), number, **options)
    return made


def test_customers_like_those_of_the_baseline_leave_nothing_to_do() -> None:
    made = watched(0, 1, 2, labelled=4, now=4.5)
    report = made.monitor()
    assert (report.diagnoses, report.acts, report.advice.state, report.notes) == ((), False, "no_reason", ())
    assert report.headline == "Nothing to do: 3 windows looked at, the last of 2024-01-03 00:00 UTC."
    assert [window.mature for window in report.windows] == [400, 400, 400]
    assert {row["against"] for row in made.rows("drift_metrics")} == {"baseline", "before"}


def test_only_new_and_changed_windows_are_measured_again() -> None:
    made = watched(0, 1, labelled=40)
    first = made.monitor()
    assert (first.measured, first.unchanged) == (2, 0)
    stored = made.store.latest("profile_metrics")
    again = made.monitor()
    assert (again.measured, again.unchanged) == (0, 2)
    assert made.store.latest("profile_metrics") == stored
    assert again.windows == first.windows
    put_window(made.store, Customers(400, 50), 5)
    assert made.monitor().measured == 1


class Fragile(MemoryFeatureStore):
    """Ends a run at the second of its writes."""

    writes = 0

    def upsert(self, table: TableSpec, rows: pa.Table | pa.RecordBatchReader) -> TableRef:
        self.writes += table.name in {"profile_metrics", "drift_metrics"}
        if self.writes == 2:
            raise KeyboardInterrupt
        return super().upsert(table, rows)


def test_a_run_that_ended_between_its_tables_is_made_up_for() -> None:
    whole, killed = watched(0, 1, labelled=40), watched(0, 1, labelled=40)
    whole.monitor()
    killed.store.__class__ = Fragile
    with pytest.raises(KeyboardInterrupt):
        killed.monitor()
    killed.monitor()
    for table in ("profile_metrics", "drift_metrics"):
        assert [unstamped(row) for row in killed.rows(table)] == [unstamped(row) for row in whole.rows(table)]


def unstamped(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != INGESTED_AT}


def test_windows_of_every_length_and_clock_are_measured() -> None:
    made = watched(0, 1, rows=30, labelled=40)
    report = made.monitor("monitoring.windows=[day,week,month]", "monitoring.clocks=[event,scoring]")
    measured = {(row["clock"], row["length"], row["window_start"]) for row in made.rows("profile_metrics")}
    lengths = {"day": [0, 1], "week": [0], "month": [0]}
    by_event = {("event", length, day(start)) for length, starts in lengths.items() for start in starts}
    by_scoring = {(clock, length, start) for clock, length, start in measured if clock == "scoring"}
    assert measured == by_event | by_scoring
    assert {start for _, length, start in by_scoring if length == "day"} == {day(1), day(2)}
    assert report.measured == 8


def test_late_labels_reopen_their_window_and_the_one_that_is_held_against_it() -> None:
    made = watched(0, 1, 2)
    put_labels(made.store, Customers(400, 10), 0, 20)
    made.monitor()
    put_labels(made.store, Customers(400, 10), 0, 40)
    made.now = 30
    immature = made.monitor()
    assert (immature.measured, immature.unchanged) == (2, 1)
    assert [window.mature for window in immature.windows] == [0, 0, 0]
    made.now = 41
    mature = made.monitor()
    assert (mature.measured, mature.unchanged) == (2, 1)
    assert [window.mature for window in mature.windows] == [400, 0, 0]


def test_a_label_that_is_corrected_reopens_its_window() -> None:
    made = watched(0, labelled=40)
    before = made.monitor().windows[0]
    outcome = Customers(400, 10).outcome
    put_labels(made.store, Customers(400, 10), 0, 41, [1 - label for label in outcome.tolist()])
    after = made.monitor().windows[0]
    assert after.churned == before.stayed


def test_labels_that_are_delivered_twice_change_nothing() -> None:
    made = watched(0, labelled=40)
    made.monitor()
    put_labels(made.store, Customers(400, 10), 0, 40)
    assert made.monitor().measured == 0


def test_other_settings_of_measuring_measure_every_window_again() -> None:
    made = watched(0, 1, labelled=40)
    first = made.monitor()
    assert made.monitor("monitoring.thresholds.psi=0.3").measured == 0
    assert made.monitor("money.contact_cost=2").measured == first.measured


def test_without_predictions_the_report_says_what_to_type() -> None:
    report = Watched().monitor()
    assert report.headline == "There are no predictions to look at: run `python run.py --pipeline inference` first."
    assert (report.acts, report.remarks) == (False, ()), "what the headline says is not said again as a note"


def test_without_any_label_performance_is_estimated() -> None:
    report = watched(0).monitor()
    assert report.notes == ("No outcome is known yet: performance is estimated and not measured.",)
    (window,) = report.windows
    assert window.realised == {}
    assert {*window.estimated} == {*ESTIMATED}


def test_labels_of_customers_who_were_never_scored_are_no_matter() -> None:
    made = watched(0)
    put_labels(made.store, Customers(900, 3), 7, 20)
    report = made.monitor()
    assert (report.windows[0].rows, report.windows[0].mature) == (400, 0)


def test_a_version_without_baseline_is_measured_and_not_compared_with_one() -> None:
    made = Watched()
    put_window(made.store, Customers(400, 10), 0, labelled=40)
    put_window(made.store, Customers(400, 11), 1, labelled=40)
    report = made.monitor()
    assert "Version 1 has no baseline" in report.notes[0]
    assert report.windows[0].drift == {}
    assert report.windows[0].realised["roc_auc"] > 0.6
    assert {row["against"] for row in made.rows("drift_metrics")} == {"before"}
    assert report.diagnoses == ()


def test_a_version_that_is_gone_from_the_registry_is_measured() -> None:
    made = watched(0, labelled=40)
    put_window(made.store, Customers(400, 12), 1, version=9)
    report = made.monitor()
    assert {window.version for window in report.windows} == {1, 9}
    assert any("Version 9 has no baseline" in note for note in report.notes)


def test_predictions_of_the_future_are_left_out_and_said() -> None:
    made = watched(0, 1, now=10, labelled=5)
    put_window(made.store, Customers(400, 30), 20)
    report = made.monitor()
    assert [window.start for window in report.windows] == [day(0), day(1)]
    assert "Left out: 400 predictions whose transaction_ts is after now (2024-01-11 00:00 UTC)" in report.notes[0]


@pytest.mark.parametrize("label", [0, 1])
def test_a_window_with_one_class_is_measured(label: int) -> None:
    made = watched(0)
    put_labels(made.store, Customers(400, 10), 0, 40, [label] * 400)
    report = made.monitor()
    assert report.windows[0].realised["churn_share"] == label
    assert "concept_drift" not in kinds(report)


def test_a_column_that_is_new_since_the_version_was_trained_is_said() -> None:
    made = Watched()
    put_baseline(made.store, BASE)
    baseline = made.store.read(made.store.latest("churn_baseline"))
    made.store.replace(CONTRACT.table("baseline"), baseline.drop_columns(["charges"]))
    put_window(made.store, Customers(400, 10), 0, labelled=40)
    report = made.monitor()
    assert "The baseline of version 1 does not have charges" in report.notes[0]
    assert "contract" in report.windows[0].drift


def test_a_column_that_is_gone_is_a_broken_feed() -> None:
    made = watched(0, labelled=40)
    features = made.store.read(made.store.latest("churn_features"))
    made.store.replace(CONTRACT.table("features"), features.drop_columns(["charges"]))
    report = made.monitor()
    assert report.diagnoses[0].kind == "broken_feed"
    assert "monthly charges is missing in 100.0% more of the rows" in report.diagnoses[0].evidence[0]


def test_too_few_rows_are_measured_and_not_judged() -> None:
    report = watched(0, rows=50, labelled=40).monitor()
    assert kinds(report) == {"too_little_data"}
    assert not report.acts
    assert report.windows[0].realised


def test_a_window_in_another_unit_is_a_broken_feed_and_no_reason_to_retrain() -> None:
    made = watched(0, labelled=40)
    customers = Customers(400, 77)
    put_window(made.store, customers, 1, labelled=40, changed={"charges": pa.array(customers.charges * 100)})
    report = made.monitor("monitoring.retraining.bad_windows=1")
    assert report.diagnoses[0].kind == "broken_feed"
    assert report.acts
    assert report.advice.state == "broken_feed"


def test_outcomes_that_the_probabilities_do_not_explain_are_concept_drift() -> None:
    made = watched(0, labelled=40)
    customers = Customers(700, 20)
    random = np.random.default_rng(0).permutation(customers.outcome)
    put_window(made.store, customers, 1)
    put_labels(made.store, customers, 1, 40, random.tolist())
    report = made.monitor("monitoring.retraining.bad_windows=1", "monitoring.retraining.cool_down_days=0")
    assert report.diagnoses[0].kind == "concept_drift"
    assert report.advice.state == "cooling_down", "the fake registers versions by the machine's clock"


def test_a_loss_persists_over_the_windows_whose_outcomes_are_known() -> None:
    made = watched(0, 2, now=45)
    for number in (3, 4):
        customers = Customers(700, 20 + number)
        put_window(made.store, customers, number)
        put_labels(
            made.store, customers, number, 40, np.random.default_rng(number).permutation(customers.outcome).tolist()
        )
    for number in (41, 42, 43):
        put_window(made.store, Customers(300, number), number)
    assert made.monitor().advice.state == "cooling_down", "the fake registers versions by the machine's clock"


def test_labels_that_do_not_come_although_data_does_are_late() -> None:
    made = watched(0)
    put_window(made.store, Customers(400, 60), 60)
    assert kinds(made.monitor()) == {"late_labels"}
    made = watched(0)
    assert kinds(made.monitor()) == set()


def contact(made: Watched, number: int = 100) -> None:
    contacts = {
        "batch_id": ["at 0 by 1"] * number,
        "customer_id": [f"c{customer:06}" for customer in range(number)],
        "group": ["treatment"] * number,
        "contacted_at": pa.array([day(3)] * number, pa.timestamp("us", tz="UTC")),
    }
    made.store.upsert(CONTRACT.table("contacts"), pa.table(contacts))


def test_outcomes_of_contacted_customers_are_left_out_and_the_others_are_judged() -> None:
    made, customers = watched(0, labelled=40), Customers(400, 10)
    contact(made)
    put_labels(made.store, customers, 0, 40, weight=[0.0] * 100 + [10.0] * 10 + [1.0] * 290)
    report = made.monitor()
    (window,) = report.windows
    assert kinds(report) == set()
    assert (window.left_out, window.mature) == (100, 300)
    assert window.realised["effective_rows"] == pytest.approx((100 + 290) ** 2 / (1000 + 290))
    weight = np.repeat([10.0, 1.0], [10, 290])
    assert window.realised["churn_share"] == pytest.approx(np.average(customers.outcome[100:], weights=weight))
    page = monitoring_page(report)
    assert "effective sample size" in page
    assert "realised figures are of churn without contact" in page
    assert made.monitor("monitoring.late_share=0.1").diagnoses == ()
    assert "Nobody stands for 100 of the rows that are left out" in " ".join(report.notes)


def test_outcomes_that_are_left_out_with_nobody_standing_for_them_are_said_to_be_treated() -> None:
    made, customers = watched(0, labelled=40), Customers(400, 10)
    put_labels(made.store, customers, 0, 40, weight=[0.0] * 100 + [1.0] * 300)
    report = made.monitor()
    assert kinds(report) == {"treated_labels"}
    assert "25.0% of the known outcomes are left out" in report.diagnoses[0].evidence[0]
    assert not report.acts


def test_a_contact_that_changed_no_outcome_is_no_diagnosis() -> None:
    made = watched(0, labelled=40)
    contact(made)
    assert kinds(made.monitor()) == set()


def test_nothing_is_judged_where_no_version_is_live_or_the_live_one_has_not_predicted() -> None:
    made = Watched(baseline=BASE, live=False)
    put_window(made.store, Customers(400, 10), 0, labelled=40)
    assert "No version is live: nothing is judged." in made.monitor().notes
    made = Watched(baseline=BASE)
    put_window(made.store, Customers(400, 10), 0, version=7)
    assert "Version 1, which is live, has not predicted anything yet: nothing is judged." in made.monitor().notes


def test_a_version_that_is_live_again_is_not_judged_by_windows_older_than_those_of_the_version_meanwhile() -> None:
    made = watched(0, labelled=4, now=30)
    customers = Customers(700, 20)
    put_window(made.store, customers, 1)
    put_labels(made.store, customers, 1, 4, np.random.default_rng(0).permutation(customers.outcome).tolist())
    assert kinds(made.monitor()) == {"concept_drift"}
    put_window(made.store, Customers(400, 12), 2, version=2)
    report = made.monitor()
    assert (kinds(report), report.advice.state) == (set(), "no_reason")
    told = "Version 1, which is live again, has predicted no newer rows than version 2: nothing is judged."
    assert told in report.notes
    put_window(made.store, Customers(400, 12), 2, source="endpoint", batch="asked")
    assert told not in made.monitor().notes


def test_sources_are_judged_apart() -> None:
    made = watched(0, labelled=40)
    customers = Customers(400, 81)
    customers.contract[:] = "Two year"
    put_window(made.store, customers, 1, source="endpoint", labelled=40)
    report = made.monitor()
    assert {(window.source, window.rows) for window in report.windows} == {("batch", 400), ("endpoint", 400)}
    assert {diagnosis.source for diagnosis in report.diagnoses} == {"endpoint"}


def test_slices_are_in_the_tables() -> None:
    made = watched(0, labelled=40)
    made.monitor()
    slices = {(row["slice"], row["slice_value"]) for row in made.rows("profile_metrics")}
    assert slices == {("", ""), ("contract", "Month-to-month"), ("contract", "Two year")}


def test_a_shift_of_the_inputs_has_a_price_by_column() -> None:
    made = Watched(baseline=Customers(3000, 1))
    others = Customers(9000, 81)
    kept = (others.contract == "Two year") | (np.arange(9000) % 5 == 0)
    for name in ("contract", "charges", "probability", "outcome", "value"):
        setattr(others, name, getattr(others, name)[kept])
    others.rows = int(kept.sum())
    put_window(made.store, others, 1)
    report = made.monitor()
    (cost,) = report.costs
    assert (cost.window, cost.source, cost.rows) == ("2024-01-02", "batch", others.rows)
    assert {*cost.columns} == {"contract", "charges"}
    assert cost.rest is not None
    assert sum(part.point for part in (*cost.columns.values(), cost.rest)) == pytest.approx(cost.total.point)
    assert cost.total.lower > 0, "fewer customers are worth treating"
    name = "profit_per_customer"
    gap = report.baselines[1][name] - report.windows[0].estimated[name].point
    assert cost.total.point == pytest.approx(others.rows * gap, rel=0.3)
    assert abs(cost.rest.point) < cost.total.point / 4
    drift = next(diagnosis for diagnosis in report.diagnoses if diagnosis.kind == "drift_with_loss")
    assert drift.evidence[-1].startswith("The shift costs about ")
    assert f"on {others.rows:,} predictions a month, by the probabilities (between" in drift.evidence[-1]
    assert "most of it by" in drift.evidence[-1]


@pytest.mark.parametrize("length", ["day", "week", "month"])
def test_outcomes_that_are_otherwise_have_a_price_of_the_predictions_of_a_month(length: str) -> None:
    made = watched(0, labelled=40)
    customers = Customers(700, 20)
    put_window(made.store, customers, 1)
    put_labels(made.store, customers, 1, 40, np.random.default_rng(0).permutation(customers.outcome).tolist())
    (concept,) = made.monitor(f"monitoring.judged={length}", f"monitoring.windows=[{length}]").diagnoses
    assert re.search(r"Against the estimate it costs [\d,.]+ USD \(.* USD to .* USD\) on 1,100", concept.evidence[-1])


def test_a_broken_feed_has_no_price() -> None:
    made = watched(0, labelled=40)
    customers = Customers(400, 77)
    put_window(made.store, customers, 1, changed={"charges": pa.array(customers.charges * 100)})
    assert made.monitor().costs == ()


def test_the_report_says_what_happened_meanwhile() -> None:
    made = watched(0, labelled=40)
    customers = Customers(400, 77)
    put_window(made.store, customers, 1, changed={"charges": pa.array(customers.charges * 100)})
    contacts = {
        "batch_id": ["at 0 by 1"] * 3,
        "customer_id": ["a", "b", "c"],
        "group": ["treatment", "treatment", "control"],
        "contacted_at": pa.array([day(3)] * 3, pa.timestamp("us", tz="UTC")),
    }
    made.store.upsert(CONTRACT.table("contacts"), pa.table(contacts))
    marks = [(mark.at, mark.kind, mark.text) for mark in made.monitor().marks if mark.kind != "promotion"]
    assert marks == [(day(1), "alert", "broken feed (batch)"), (day(3), "campaign", "2 contacted")]
    assert [mark.text for mark in made.monitor().marks if mark.kind == "promotion"] == ["version 1 went live"]


def test_a_dry_run_judges_what_was_measured_and_writes_nothing() -> None:
    made = watched(0, labelled=40)
    made.monitor()
    put_window(made.store, Customers(400, 12), 1)
    stored = made.store.latest("profile_metrics")
    report = made.monitor(dry=True)
    assert (len(report.windows), report.measured) == (1, 1)
    assert report.notes == ("New or changed, and not measured in a dry run: 1 window.",)
    assert made.store.latest("profile_metrics") == stored


def test_a_loss_of_an_earlier_window_is_not_called_nothing() -> None:
    made = watched(0, labelled=40, now=45)
    customers = Customers(700, 20)
    put_window(made.store, customers, 1)
    put_labels(made.store, customers, 1, 40, np.random.default_rng(0).permutation(customers.outcome).tolist())
    put_window(made.store, Customers(400, 30), 2, labelled=40)
    report = made.monitor()
    assert report.diagnoses == ()
    assert report.headline.startswith("Nothing to do now. Do not retrain yet: 1 of the last 3 windows shows a loss")


def test_a_table_of_predictions_without_rows_leaves_nothing_to_look_at() -> None:
    made = watched(0)
    empty = made.store.read(made.store.latest("churn_predictions")).slice(0, 0)
    made.store.replace(CONTRACT.table("predictions"), empty)
    report = made.monitor()
    told = "There are no predictions to look at: run `python run.py --pipeline inference` first."
    assert (report.headline, report.acts) == (told, False)


def test_a_window_that_is_reopened_after_its_predictions_were_erased_stays_as_it_was_measured() -> None:
    made = watched(0, 1)
    before = made.monitor().windows[0]
    kept = made.store.read(made.store.latest("churn_predictions")).filter(pc.field("batch_id") != "at 0 by 1")
    made.store.replace(CONTRACT.table("predictions"), kept)
    put_labels(made.store, Customers(400, 10), 0, 40)
    report = made.monitor()
    assert report.windows[0] == before
    assert report.measured <= 1, "only the window after it, which is compared with no window now"


def test_a_window_that_is_reopened_without_its_features_says_so_and_keeps_its_outcomes() -> None:
    made = watched(0)
    made.store.replace(CONTRACT.table("features"), made.store.read(made.store.latest("churn_features")).slice(0, 0))
    put_labels(made.store, Customers(400, 10), 0, 40)
    report = made.monitor()
    assert report.windows[0].mature == 400
    assert report.diagnoses[0].evidence[0] == "100.0% of the predictions have no row in churn_features."


def test_of_contradictory_outcomes_the_one_that_was_delivered_last_counts() -> None:
    made = watched(0)
    outcome = Customers(400, 10).outcome
    for label in (outcome, 1 - outcome):
        put_labels(made.store, Customers(400, 10), 0, 40, label.tolist())
    window = made.monitor().windows[0]
    assert (window.mature, window.churned) == (400, int((1 - outcome).sum()))


def test_a_score_from_before_its_own_facts_is_counted_by_each_clock() -> None:
    made = Watched(baseline=BASE)
    put_window(made.store, Customers(400, 10), 5, scored_at=3)
    report = made.monitor("monitoring.clocks=[event,scoring]")
    starts = {(row["clock"], row["window_start"]) for row in made.rows("profile_metrics")}
    assert starts == {("event", day(5)), ("scoring", day(3))}
    assert not report.acts


def test_outcomes_that_are_known_only_in_the_future_are_not_used() -> None:
    made = watched(0, now=10)
    put_labels(made.store, Customers(400, 10), 0, 11)
    assert made.monitor().windows[0].mature == 0


def test_a_sample_of_the_newest_window_lies_beside_one_of_its_baseline_with_the_same_columns() -> None:
    made = watched(0, 1, labelled=40)
    report = made.monitor()
    samples = made.sampled(report, 100)
    assert samples is not None
    assert [*samples.reference.columns] == [*samples.current.columns] == ["contract", "charges", "probability"]
    assert (len(samples.reference), len(samples.current)) == (100, 100)
    newest = Customers(400, 11)
    assert set(samples.current["charges"]) <= set(newest.charges)
    everything = made.sampled(report, 10_000)
    assert everything is not None
    assert (len(everything.reference), len(everything.current)) == (700, 400)
    assert Watched().sampled(Watched().monitor(), 10) is None
