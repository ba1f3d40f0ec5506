"""What holds for every simulated business: shape, time, labels, determinism, sizes, and the contract."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pydantic import ValidationError

from churn.core.errors import ConfigError
from churn.data.contract import DatasetContract
from churn.simulation.engine import live
from churn.simulation.script import Script
from churn.simulation.simulate import SIMULATORS, SimulationSettings, simulate, simulate_world, simulated_table
from churn.simulation.world import World
from tests.conftest import ROOT
from tests.fakes.data.world import Gym, WanderingGym

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=sorted(SIMULATORS))
def world(request: pytest.FixtureRequest) -> World:
    return SIMULATORS[request.param]


@pytest.fixture(scope="module")
def table(world: World) -> pa.Table:
    return simulate(world.name, SimulationSettings(customers=2000, months=10, seed=4))


@pytest.fixture(scope="module")
def frame(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas()


@pytest.fixture(scope="module")
def contract(world: World) -> DatasetContract:
    return DatasetContract.load(ROOT / "configs" / "datasets" / f"{world.name}_simulated.yaml")


def test_the_columns_are_those_of_the_contract_in_its_order(table: pa.Table, contract: DatasetContract) -> None:
    key, time, label, truth = contract.entity_key, contract.event_time.column, contract.label.column, contract.truth
    assert table.column_names == [key, time, *contract.columns, label, truth]


def test_the_types_are_those_of_the_contract(table: pa.Table, contract: DatasetContract) -> None:
    types = {"categorical": pa.string(), "integer": pa.int64(), "number": pa.float64()}
    assert {name: table.schema.field(name).type for name in contract.columns} == {
        name: types[column.type] for name, column in contract.columns.items()
    }
    assert table.schema.field(contract.event_time.column).type == pa.timestamp("us", tz="UTC")
    assert table.schema.field(contract.entity_key).type == pa.string()
    assert table.schema.field(contract.label.column).type == pa.string()


def test_every_value_keeps_the_contract(frame: pd.DataFrame, contract: DatasetContract) -> None:
    for name, column in contract.columns.items():
        values = frame[name].dropna()
        assert column.nullable or len(values) == len(frame), name
        if column.allowed is not None:
            assert set(values) == set(column.allowed), name
        else:
            assert values.between(column.min, column.max).all(), name
    assert set(frame[contract.label.column].dropna()) == {contract.label.positive, contract.label.negative}
    assert frame["true_probability"].between(0, 1, inclusive="neither").all()


def test_the_world_and_its_contract_speak_of_the_same_label(world: World, contract: DatasetContract) -> None:
    label = contract.label
    assert (world.positive, world.negative) == (label.positive, label.negative)
    assert (world.window_days, world.delay_days) == (label.window_days, label.delay_days)
    assert contract.simulator == world.name


def test_rows_are_sorted_by_key_and_time_without_duplicates(frame: pd.DataFrame, world: World) -> None:
    index = pd.MultiIndex.from_frame(frame[[world.entity_key, world.event_time]])
    assert index.is_monotonic_increasing
    assert index.is_unique


def test_every_month_has_the_same_number_of_customers(frame: pd.DataFrame, world: World) -> None:
    per_month = frame.groupby(world.event_time).size()
    assert list(per_month) == [2000] * 10
    assert list(per_month.index) == list(pd.date_range("2025-03-01", "2025-12-01", freq="MS", tz="UTC"))


def test_a_customer_is_there_every_month_from_joining_to_leaving(frame: pd.DataFrame, world: World) -> None:
    month = frame[world.event_time].dt.tz_localize(None).dt.to_period("M").astype("int64")
    lived = month.groupby(frame[world.entity_key]).agg(["min", "max", "size"])
    assert (lived["max"] - lived["min"] + 1 == lived["size"]).all()


def test_the_label_says_whether_the_customer_is_gone_when_the_window_closes(frame: pd.DataFrame, world: World) -> None:
    last = frame.groupby(world.entity_key)[world.event_time].transform("max")
    closes = frame[world.event_time] + pd.DateOffset(months=world.window_months)
    known = frame[world.label].notna()
    gone = last < closes
    assert (gone[known] == (frame[world.label] == world.positive)[known]).all()


def test_a_label_is_missing_exactly_where_its_window_is_open_on_the_last_day(frame: pd.DataFrame, world: World) -> None:
    closes = frame[world.event_time] + pd.DateOffset(months=world.window_months)
    assert (frame[world.label].isna() == (closes > pd.Timestamp("2025-12-01", tz="UTC"))).all()


def test_the_same_seed_gives_the_same_table_and_another_seed_another(world: World, table: pa.Table) -> None:
    again = simulate(world.name, SimulationSettings(customers=2000, months=10, seed=4))
    other = simulate(world.name, SimulationSettings(customers=2000, months=10, seed=5))
    assert again.equals(table)
    assert not other.equals(table)


def test_customers_stay_as_they_are_when_the_simulation_goes_on(world: World) -> None:
    short = simulate(world.name, SimulationSettings(customers=200, months=4, end=dt.date(2025, 4, 1)))
    longer = simulate(world.name, SimulationSettings(customers=200, months=6, end=dt.date(2025, 6, 1))).to_pandas()
    start = longer[longer[world.event_time] <= pd.Timestamp("2025-04-01", tz="UTC")].reset_index(drop=True)
    pd.testing.assert_frame_equal(short.to_pandas().drop(columns=world.label), start.drop(columns=world.label))


def test_one_customer_and_four_months_are_enough(world: World) -> None:
    table = simulate(world.name, SimulationSettings(customers=1, months=4))
    assert table.num_rows == 4
    assert table[world.label].null_count == world.window_months


def test_keys_are_written_as_the_business_writes_them(frame: pd.DataFrame, world: World) -> None:
    form = {"telco": r"\d{4}-[A-Z]{5}", "saas": r"AC-\d{9}"}[world.name]
    assert frame[world.entity_key].str.fullmatch(form).all()


def test_the_log_odds_read_only_what_is_delivered(world: World) -> None:
    rng = np.random.default_rng(0)
    state = world.join(rng, 50)
    state = world.grow_older({**state, world.price: np.round(world.list_price(state), 2)})
    delivered = {name: values for name, values in state.items() if name in world.columns}
    np.testing.assert_array_equal(world.log_odds(delivered), world.log_odds(state))


def test_the_population_stays_as_it_is_while_nothing_happens() -> None:
    telco = simulate("telco", SimulationSettings(customers=8000, seed=1)).to_pandas()
    months = telco.groupby("transaction_ts")
    assert np.ptp(months["tenure"].mean()) < 1.5
    assert np.ptp(months["monthly_charges"].mean()) < 1.5
    assert np.ptp(months["true_probability"].mean()) < 0.02


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"no simulation called 'telko': choose one of saas, telco; did you mean 'telco'"
    ):
        simulate("telko", SimulationSettings())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"customers": 0}, "greater than or equal to 1"),
        ({"customers": 5_000_001}, "less than or equal to 5000000"),
        ({"customers": 5_000_000, "months": 13}, "at most 60,000,000 rows"),
        ({"months": 3}, "greater than or equal to 4"),
        ({"end": "2025-12-02"}, "first day of a month, such as 2025-12-01"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"customer": 10}, "Extra inputs are not permitted"),
        ({"events": [{"kind": "price_fall", "month": 1}]}, "does not match any of the expected tags"),
    ],
)
def test_settings_that_cannot_be_simulated_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SimulationSettings.model_validate(settings)


def test_the_largest_table_that_arrow_can_hold_is_accepted() -> None:
    assert SimulationSettings(customers=5_000_000, months=12).customers == 5_000_000


def test_a_business_of_ones_own_is_one_small_class() -> None:
    frame = simulate_world(Gym(), SimulationSettings(customers=50, months=4)).to_pandas()
    truth = frame.groupby("plan")["true_probability"].unique()
    # Staying two months on Basic: 0.8 * (0.75 * 0.8 + 0.25 * 0.9); on Premium: 0.9 * (0.5 * 0.8 + 0.5 * 0.9).
    np.testing.assert_allclose(truth["Basic"], 1 - 0.66)
    np.testing.assert_allclose(truth["Premium"], 1 - 0.765)


def test_whoever_joins_is_somebody_new() -> None:
    months = live(Gym(), Script(Gym(), (), np.datetime64("2025-01")), customers=30, months=6, seed=0)
    people = np.unique(np.concatenate([month.customer for month in months]))
    assert len(people) == 30 + sum(month.left.sum() for month in months[:-1])


def test_a_business_whose_truth_cannot_be_known_is_refused() -> None:
    with pytest.raises(ConfigError, match="'gym' changes customers in `wander` and has an outcome window of 2 months"):
        simulate_world(WanderingGym(), SimulationSettings(customers=1, months=4))


@pytest.mark.parametrize("part_rows", [1, 97, 5000])
def test_a_table_that_is_read_in_parts_is_the_same_table(world: World, part_rows: int) -> None:
    column = next(iter(world.categories))
    events = [
        {"kind": "late_arrivals", "month": 2, "share": 0.3, "days": 4},
        {"kind": "late_labels", "month": 1, "share": 0.5, "days": 6},
        {"kind": "broken_feed", "month": 2, "months": 2, "fault": {"kind": "nulls", "column": column, "share": 0.4}},
    ]
    settings = SimulationSettings.model_validate({"customers": 60, "months": 5, "events": events})
    table = simulated_table(world.name, settings)
    for _ in range(2):
        parts = list(table.read(part_rows))
        assert [part.num_rows for part in parts[:-1]] == [part_rows] * (len(parts) - 1)
        assert pa.concat_tables(parts).equals(simulate(world.name, settings))
