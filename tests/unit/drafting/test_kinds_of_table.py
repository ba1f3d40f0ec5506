"""Drafts of tables of other businesses and languages: no guess against a word, and a CHECK at every doubt."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn.core.errors import ContractError
from churn.data.contract import DatasetContract
from churn.drafting.infer import infer

pytestmark = pytest.mark.slow

N = 400
RNG = np.random.default_rng(11)
LEFT = RNG.random(N) < 0.27
MANY = RNG.permutation(N)
KEY_NAMES = [
    *("customer_id", "userid", "id_client", "Kundennummer", "policy_no", "MSISDN", "uuid", "account", "Customer"),
    *("client", "member", "numero_cliente", "codigo_cliente", "employee_number", "klantnummer", "Customer code"),
]
DAYS = pd.to_datetime("2024-01-01") + pd.to_timedelta(RNG.integers(0, 300, N), unit="D")


def outcome(left: object, stayed: object) -> list[object]:
    return [left if gone else stayed for gone in LEFT]


def table(**columns: Any) -> pd.DataFrame:
    """A table as a CSV has it: all text."""
    base = {"customer_id": [f"C{number}" for number in range(N)], "tenure": RNG.integers(1, 70, N)}
    frame = pd.DataFrame({**base, **columns})
    return frame.astype(object).map(lambda value: None if value is None or value != value else str(value))


def draft(frame: pd.DataFrame, **said: str) -> str:
    return infer(frame, "shop", today=dt.date(2025, 6, 15), **said)  # type: ignore[arg-type]


def load(tmp_path: Path, text: str) -> DatasetContract:
    path = tmp_path / "draft.yaml"
    path.write_text(text)
    return DatasetContract.load(path)


def checks(text: str) -> str:
    """The remarks of a draft as one text."""
    return " ".join(line.strip().removeprefix("# ") for line in text.splitlines() if line.strip().startswith("#"))


@pytest.mark.parametrize(
    ("name", "left", "stayed"),
    [
        ("Churn", "Churned", "Not churned"),
        ("churner", "churner", "non-churner"),
        ("booking_status", "Canceled", "Not_Canceled"),
        ("status", "Cancelled", "Active"),
        ("policy_status", "Lapsed", "In force"),
        ("account_state", "inactive", "active"),
        ("membership", "Did not renew", "Renewed"),
        ("outcome", "Left", "Stayed"),
        ("subscription", "unsubscribed", "subscribed"),
        ("estado", "Baja", "Activo"),
        ("kunde_status", "gekündigt", "aktiv"),
        ("statut", "résilié", "actif"),
        ("non_renewal", "Y", "N"),
        ("Is_Churned", "TRUE", "FALSE"),
        ("gekündigt", "ja", "nein"),
        ("résilié", "oui", "non"),
        ("Attrition", "1", "-1"),
        ("not_renewed", "1", "0"),
    ],
)
def test_who_left_is_read_from_the_words_even_where_most_did(tmp_path: Path, name: str, left: str, stayed: str) -> None:
    for mostly_left in (False, True):
        frame = table(**{name: outcome(stayed, left) if mostly_left else outcome(left, stayed)})
        text = draft(frame)
        label = load(tmp_path, text).label
        assert (label.positive.lower(), label.negative.lower()) == (left.lower(), stayed.lower())


@pytest.mark.parametrize(
    ("name", "left", "stayed"),
    [
        ("retained", "0", "1"),
        ("is_active", "False", "True"),
        ("renewed", "no", "yes"),
        ("still_active_customer", "N", "Y"),
        ("retention_flag", "0", "1"),
        ("stayed_next_month", "0", "1"),
        ("not_churned", "no", "yes"),
        ("is_churn_prevented", "0", "1"),
        ("churn_averted", "no", "yes"),
        ("Cancellation saved", "FALSE", "TRUE"),
    ],
)
def test_yes_in_a_column_that_is_called_after_staying_stayed(tmp_path: Path, name: str, left: str, stayed: str) -> None:
    for said in ({}, {"label": name}):
        text = draft(table(**{name: outcome(left, stayed)}), **said)
        assert load(tmp_path, text).label.positive.lower() == left.lower()
        assert f"the name {name!r} says that" in checks(text)


@pytest.mark.parametrize("name", ["target", "label", "status", "outcome", "flag"])
def test_yes_in_a_column_whose_name_says_neither_is_doubted(name: str) -> None:
    text = draft(table(**{name: outcome(1, 0)}), label=name)
    assert f"the name {name!r} does not say whether '1' left or stayed" in checks(text)


@pytest.mark.parametrize(("left", "stayed"), [("2", "1"), ("b", "a"), ("gold", "silver")])
def test_values_that_say_nothing_are_doubted_whatever_the_name(left: str, stayed: str) -> None:
    text = draft(table(churn=outcome(left, stayed)))
    assert "says who left; the rarer one was taken" in checks(text)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"churned": ["yes"] * N}, r"'churned' \(one value: 'yes' 400 times\) looks like the outcome"),
        ({"Churn": outcome("yes", None)}, r"'Churn' \(one value: 'yes' \d+ times, \d+ missing\) looks like"),
        (
            {"customer_status": [("Stayed", "Churned", "Joined")[at % 3] for at in range(N)]},
            r"'customer_status' \(3 values: 'Stayed' 134 times, 'Churned' 133 times, 'Joined' 133 times\) looks like",
        ),
        (
            {"is_active_member": outcome(0, 1), "attrition": [str(at % 3) for at in range(N)]},
            r"'attrition' \(3 values.*Of those with two values, 'is_active_member' looks most like it",
        ),
    ],
)
def test_a_column_like_the_outcome_without_two_values_is_named(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        draft(table(plan=[("basic", "pro")[at % 2] for at in range(N)], **columns))


def test_other_columns_like_an_outcome_are_named_beside_the_one_that_was_taken() -> None:
    text = draft(table(churn=outcome(1, 0), contract_renewed=[str(at % 2) for at in range(N)]))
    assert "these look like an outcome too, --label COLUMN names another: contract_renewed" in checks(text)


@pytest.mark.parametrize(
    "name",
    [
        "emails_opened",
        "phone_calls",
        "days_since_last_email",
        "voicemail_minutes_int",
        "address_changes",
        "sms_and_mail_received",
        "birth_year",
        "days_elapsed",
        "previous_cancellations",
        "defective_items",
        "leave_days",
    ],
)
def test_a_count_is_an_input_whatever_it_counts(tmp_path: Path, name: str) -> None:
    contract = load(tmp_path, draft(table(**{name: MANY + 3, "churn": outcome(1, 0)})))
    assert contract.columns[name].type == "integer"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("first_name", [f"Ann{number}" for number in range(N)]),
        ("email", [f"a{number}@b.example" for number in range(N)]),
        ("contact_email_address", [f"a{number}@b.example" for number in range(N)]),
        ("phone", 4_155_550_000 + 13 * MANY),
        ("mobile_number", 7_155_550_000 + 13 * MANY),
        ("home_address", [f"{number} Long Road" for number in range(N)]),
    ],
)
def test_what_names_a_person_is_left_out(name: str, values: Any) -> None:
    assert f"#   {name}: " in draft(table(**{name: values, "churn": outcome(1, 0)}))


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ([f"{(1, 12, 24)[number % 3]} months" for number in MANY], "months"),
        ([("1 month", "12 months")[number % 2] for number in MANY], "month, months"),
        ([f"{(10, 50, 90)[number % 3]}%" for number in MANY], "%"),
        ([("500 MB", "2 GB")[number % 2] for number in MANY], "GB, MB"),
        ([("3G", "4G", "5G")[number % 3] for number in MANY], None),
        ([("1st", "2nd")[number % 2] for number in MANY], None),
    ],
)
def test_a_category_of_few_numbers_with_a_unit_is_told_how_to_become_numbers(values: Any, unit: str | None) -> None:
    drafted = " ".join(draft(table(term=values, churn=outcome(1, 0))).replace("#", "").split())
    assert "term: {type: categorical" in drafted
    assert (f"CHECK: numbers with a unit ({unit}), so each value is a category" in drafted) == (unit is not None)
    assert ("with a unit" in drafted) == (unit is not None)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([f"{number / 7:.1f}%" for number in MANY], "numbers with a unit (%)"),
        ([f"{number / 3:.2f} GB" for number in MANY], "numbers with a unit (GB)"),
        ([f"{number}Mbps" for number in MANY], "numbers with a unit (Mbps)"),
        ([f"{number} {('MB', 'GB')[number % 2]}" for number in MANY], "numbers with a unit (GB, MB)"),
        ([f"{number}:30" for number in MANY], "durations such as 12:30"),
        ([f"{number % 28 + 1}/{number}" for number in MANY], "names or free text"),
        (
            [("x" if number % 4 == 0 else str(number)) for number in MANY],
            "numbers mixed with other values, such as 'x'",
        ),
    ],
)
def test_numbers_with_a_unit_are_neither_dates_nor_categories(values: list[str], reason: str) -> None:
    assert f"#   usage: {reason}" in draft(table(usage=values, churn=outcome(1, 0)))


@pytest.mark.parametrize(
    "written", ["%Y%m%d", "%Y%m", "%d-%b-%Y", "%d/%m/%Y", "%b %d, %Y", "%Y%m%d%H%M%S", "%Y-%m-%d %H:%M:%S"]
)
def test_dates_are_dates_however_they_are_written(tmp_path: Path, written: str) -> None:
    days = pd.Series(DAYS)
    text = draft(
        table(snapshot=days.dt.strftime(written), started=days.dt.strftime(written), churn=outcome(1, 0)),
    )
    contract = load(tmp_path, text)
    assert contract.event_time.column == "snapshot"
    assert set(contract.columns) == {"tenure"}
    assert "#   started: a date" in text


def test_dates_in_digits_with_stand_ins_for_missing_are_dates() -> None:
    digits = pd.Series(DAYS).dt.strftime("%Y%m%d").where(MANY % 9 > 0, "0")
    assert "#   last_seen: a date" in draft(table(last_seen=digits, churn=outcome(1, 0)))


@pytest.mark.parametrize(("unit", "written"), [(10**9, "unix seconds"), (10**6, "unix milliseconds")])
def test_numbers_since_1970_are_times_where_they_are_called_so(tmp_path: Path, unit: int, written: str) -> None:
    numbers = DAYS.astype("datetime64[ns]").astype("int64") // unit
    frame = table(snapshot_ts=numbers, created_at=numbers, amount=numbers, order_id=numbers, churn=outcome(1, 0))
    text = draft(frame)
    event = load(tmp_path, text).event_time
    assert (event.column, event.format) == ("snapshot_ts", written)
    assert "created_at: a date" in text
    assert "amount" in load(tmp_path, text).columns


def test_numbers_of_eight_digits_are_no_dates(tmp_path: Path) -> None:
    text = draft(table(usage_bytes=20_100_000 + 317 * MANY, churn=outcome(1, 0)))
    assert load(tmp_path, text).columns["usage_bytes"].type == "integer"


@pytest.mark.parametrize(
    "name",
    [
        *("signup_date", "joined", "customer_since", "policy_inception_date", "Eintrittsdatum", "date_of_joining"),
        *(
            "first_order_date",
            "contract_start",
            "next_billing_date",
            "membership_expire_date",
            "activation_month",
            "foo",
        ),
        *("fecha_primera_compra", "date_activ", "date_premier_achat", "fecha_de_ingreso", "Datum letzte Bestellung"),
    ],
)
def test_a_day_in_a_customers_history_is_not_the_event_time(tmp_path: Path, name: str) -> None:
    text = draft(table(**{name: DAYS, "churn": outcome(1, 0)}))
    assert load(tmp_path, text).event_time.column is None
    assert f"days in a customer's history were not taken for it ({name}); --time COLUMN names one" in checks(text)


@pytest.mark.parametrize("name", ["date", "snapshot_month", "period_end", "transaction_date", "policy_snapshot_date"])
def test_the_time_of_a_row_is_taken(tmp_path: Path, name: str) -> None:
    frame = table(**{name: DAYS, "signup_date": "2020-01-01", "churn": outcome(1, 0)})
    assert load(tmp_path, draft(frame)).event_time.column == name


def test_in_a_table_of_several_rows_a_customer_the_time_changes_from_row_to_row(tmp_path: Path) -> None:
    frame = table(
        customer_id=[f"C{number // 4}" for number in range(N)],
        date=[f"2020-01-{number // 4 % 28 + 1:02}" for number in range(N)],
        seen=[f"2024-0{number % 4 + 1}-01" for number in range(N)],
        churn=outcome(1, 0),
    )
    assert load(tmp_path, draft(frame)).event_time.column == "seen"


def test_times_in_the_future_are_announced() -> None:
    assert "400 rows lie in the future, and would be set aside" in checks(
        draft(table(date=DAYS + pd.Timedelta(days=900), churn=outcome(1, 0)))
    )
    assert "in the future" not in draft(table(date=DAYS, churn=outcome(1, 0)))


def test_one_row_a_customer_over_years_has_an_event_time_only_where_its_name_says_so(tmp_path: Path) -> None:
    spread = pd.to_datetime("2015-01-01") + pd.to_timedelta(7 * MANY, unit="D")
    for name, event in (("date", None), ("invoice_month", None), ("snapshot_date", "snapshot_date")):
        text = draft(table(**{name: spread, "churn": outcome(1, 0)}))
        assert load(tmp_path, text).event_time.column == event
        assert ("one row a customer, over" if event else f"{name} was not taken for it: one row a cust") in checks(text)
        assert "a customer joined or left is no event time" in checks(text)


@pytest.mark.parametrize(("lacking", "event"), [(0.04, "transaction_date"), (0.06, None)])
def test_a_time_that_many_rows_lack_is_not_the_event_time(tmp_path: Path, lacking: float, event: str | None) -> None:
    days = pd.Series(DAYS).where(lacking * N <= MANY)
    text = draft(table(transaction_date=days, churn=outcome(1, 0)))
    assert load(tmp_path, text).event_time.column == event
    told = "16 rows have none that can be read" if event else "dates that many rows lack were not taken for it: transac"
    assert told in checks(text)


@pytest.mark.parametrize(
    "name", ["monthly_charges", "MRR", "monthly_fee", "MonthlyRevenue", "cuota_mensual", "Monatsbeitrag", "arpu"]
)
def test_what_a_customer_pays_in_a_month_is_the_revenue(tmp_path: Path, name: str) -> None:
    amounts = {"monthly_income": MANY + 1000.5, "balance": MANY + 0.5}
    contract = load(tmp_path, draft(table(**amounts, **{name: MANY + 9.9}, churn=outcome(1, 0))))
    assert contract.monthly_revenue == name.lower().replace("monthlyrevenue", "monthly_revenue")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "balance",
            "monthly_income",
            "EstimatedSalary",
            "credit_limit",
            "total_day_charge",
            "intl_charge",
            "feedback",
        ),
        *("monthly_minutes", "annual_premium", "total_charges", "monthly_loan_payment", "price", "revenue_growth_pct"),
        *("charge_per_minute", "customer_lifetime_revenue", "monthly_charge_band", "late_fee", "card_monthly_spend"),
    ],
)
def test_other_amounts_are_no_revenue(tmp_path: Path, name: str) -> None:
    text = draft(table(**{name: MANY + 100}, churn=outcome(1, 0)))
    assert load(tmp_path, text).monthly_revenue is None


def test_amounts_that_were_not_taken_are_listed() -> None:
    text = draft(table(balance=MANY, annual_premium=MANY + 3, churn=outcome(1, 0)))
    assert "amounts that are not called so were not taken: balance, annual_premium." in checks(text)


@pytest.mark.parametrize(
    ("value", "count", "others"),
    [
        (-999, 30, MANY % 90),
        (-1, 30, MANY),
        (9999, 20, MANY),
        (99, 30, MANY % 11),
        (99, 40, 18 + MANY % 62),
        (-9999, 30, MANY * 1.7 - 300),
        (999999, 2, MANY * 100),
    ],
)
def test_a_number_that_stands_for_missing_is_named_with_its_count(value: int, count: int, others: Any) -> None:
    values = np.asarray(others, dtype=float).copy()
    values[:count] = value
    text = checks(draft(table(amount=values, churn=outcome(1, 0))))
    assert f"{value:,} stands {count} times ({count / N:.1%})" in text


@pytest.mark.parametrize("others", [MANY % 100, MANY, MANY - 200, MANY % 3 - 1, MANY * 1000])
def test_a_number_among_its_neighbours_is_not_suspected(others: Any) -> None:
    assert "if it means missing" not in checks(draft(table(amount=others, churn=outcome(1, 0))))


@pytest.mark.parametrize(
    ("values", "kind", "count"),
    [
        (np.where(MANY < 10, "many", (MANY % 6).astype(str)), "categorical", 10),
        (np.where(MANY < 10, "many", MANY.astype(str)), "integer", 10),
        (np.where(MANY < 2, "?", (MANY / 7).round(3).astype(str)), "number", 2),
    ],
)
def test_words_in_a_column_of_numbers_are_named_with_their_count(
    tmp_path: Path, values: Any, kind: str, count: int
) -> None:
    text = draft(table(calls=values, churn=outcome(1, 0)))
    assert load(tmp_path, text).columns["calls"].type == kind
    assert f"numbers but for {count} rows, {count / N:.1%}" in checks(text)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.where(MANY % 2, "M", "F"), np.where(MANY % 2, "Male", "Female")),
        (np.where(MANY % 3, "1", "0"), np.where(MANY % 3, "Yes", "No")),
        (MANY % 50, MANY % 50 * 12),
        ((MANY / 7).round(2), (MANY / 7 * 0.17).round(4)),
    ],
)
def test_two_columns_that_say_the_same_are_noted(tmp_path: Path, first: Any, second: Any) -> None:
    text = draft(table(one=first, two=second, three=MANY % 5, churn=outcome(1, 0)))
    assert "it says the same as one: one of the two is enough." in checks(text)
    assert checks(text).count("says the same") == 1
    assert {"one", "two", "three"} <= set(load(tmp_path, text).columns)


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"income": MANY + 30_000, "dependents_no": MANY % 5},
        {"RowNumber": np.arange(N)},
        {"is_paid": MANY % 2, "notes": [f"spoke with {number}" for number in MANY]},
    ],
)
def test_a_table_without_a_key_can_have_its_rows_numbered(tmp_path: Path, columns: dict[str, Any]) -> None:
    frame = table(**columns, churn=outcome(1, 0)).drop(columns="customer_id")
    with pytest.raises(ContractError, match=r"number the rows with --key row: customers can then not be followed"):
        draft(frame)
    text = draft(frame, key="row")
    contract = load(tmp_path, text)
    assert (contract.entity_key, contract.numbered_rows) == ("row", True)
    assert "Customers cannot be followed from one delivery to the next" in checks(text)


def test_a_column_called_row_is_the_key_where_it_is_named(tmp_path: Path) -> None:
    contract = load(tmp_path, draft(table(Row=MANY, churn=outcome(1, 0)), key="row"))
    assert (contract.entity_key, contract.numbered_rows) == ("row", False)


@pytest.mark.parametrize("name", KEY_NAMES)
def test_a_key_is_known_by_its_name(tmp_path: Path, name: str) -> None:
    frame = table(plan=np.where(LEFT, "a b", "c d"), churn=outcome(1, 0)).rename(columns={"customer_id": name})
    text = draft(frame)
    assert load(tmp_path, text).entity_key.replace("_", "") == name.lower().replace("_", "").replace(" ", "")
    assert "not called like a key" not in checks(text)


@pytest.mark.parametrize("name", ["account", "Policy", "member", "client"])
def test_a_grouping_that_is_called_like_a_customer_is_no_key(tmp_path: Path, name: str) -> None:
    kinds = [("Basic", "Gold", "Silver plus")[number % 3] for number in MANY]
    contract = load(tmp_path, draft(table(**{name: kinds, "date": DAYS, "churn": outcome(1, 0)})))
    assert contract.entity_key == "customer_id"
    assert name.lower() in contract.columns


@pytest.mark.parametrize(
    ("lacking", "copied", "doubt"),
    [(20, 0, "20 rows have none, and would be set aside"), (0, 20, "rows that repeat a customer: 20")],
)
def test_a_key_that_few_rows_lack_or_share_is_taken_with_a_doubt(
    tmp_path: Path, lacking: int, copied: int, doubt: str
) -> None:
    ids = [None] * lacking + [f"C{max(number, lacking + copied)}" for number in range(lacking, N)]
    text = draft(table(customer_id=ids, churn=outcome(1, 0)))
    assert load(tmp_path, text).entity_key == "customer_id"
    assert doubt in checks(text)


def test_a_key_that_no_row_can_be_told_by_is_named_in_the_message() -> None:
    frame = table(customer_id=[None if n % 2 else f"C{n}" for n in range(N)], code_no=MANY % 50, churn=outcome(1, 0))
    message = r"customer_id is missing in 200 of 400 rows; code_no has 50 different values in 400 rows. Name it with"
    with pytest.raises(ContractError, match=message):
        draft(frame)


def test_where_no_time_tells_the_rows_of_a_customer_apart_each_row_is_one(tmp_path: Path) -> None:
    frame = table(account_id=[f"A{n // 4}" for n in range(N)], subscription_id=[f"S-{n}" for n in MANY])
    frame = frame.assign(churn=outcome("1", "0")).drop(columns="customer_id")
    text = draft(frame)
    assert load(tmp_path, text).entity_key == "subscription_id"
    assert "each row counts as a customer: account_id repeats (100 different in 400 rows)" in checks(text)
    dated = frame.assign(snapshot_date=[f"2024-0{n % 4 + 1}-01" for n in range(N)])
    assert load(tmp_path, draft(dated)).entity_key == "account_id"


@pytest.mark.parametrize("name", ["phone_number", "Phone", "email"])
def test_a_key_that_is_personal_data_is_doubted(name: str) -> None:
    frame = table(**{name: [f"{n}-555" for n in range(N)], "churn": outcome(1, 0)}).drop(columns="customer_id")
    assert "it is personal data, and lists and pages name customers by it" in checks(draft(frame))


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"time": "tenure"}, r"'tenure' holds no times that can be read, such as '\d+'. Columns of times: seen"),
        ({"time": "customer_id"}, r"'customer_id' holds no times that can be read, such as 'C0'"),
        ({"time": "blank"}, r"'blank' holds no times that can be read, for it is always missing"),
        ({"key": "blank"}, r"'blank' cannot be the key: it is always missing"),
        ({"key": "churn", "label": "churn"}, r"'churn' cannot be both the key and the outcome"),
        ({"key": "seen", "time": "seen"}, r"'seen' cannot be both the key and the event time"),
        ({"label": "customer_id"}, r"it has 400 values: 'C0' 1 times, .* and 394 others"),
    ],
)
def test_a_named_column_that_cannot_have_its_role_is_refused(named: dict[str, str], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        draft(table(seen=DAYS, blank=[None] * N, churn=outcome(1, 0)), **named)


def test_lists_and_structures_written_as_text_are_left_out() -> None:
    text = draft(table(plan=[f"{{'item': {n % 3}}}" for n in MANY], tags=["[1, 2]"] * N, churn=outcome(1, 0)))
    assert "plan: it holds lists or structures" in text
    assert "tags: it holds lists or structures" in text


def test_lines_that_are_no_row_are_announced() -> None:
    text = infer(table(churn=outcome(1, 0)), "shop", broken_lines=["x,y,z"] * 3, today=dt.date(2025, 6, 15))
    assert "would be set aside: 3, such as 'x,y,z'" in checks(text)


def test_a_table_of_one_column_says_what_parts_values() -> None:
    with pytest.raises(ContractError, match=r"has one column, 'id\^churn'.*parted by one of , ; \| or tabs"):
        draft(pd.DataFrame({"id^churn": ["1^yes", "2^no"]}))


def test_codes_that_read_like_numbers_with_a_huge_exponent_are_drafted(tmp_path: Path) -> None:
    ids = [f"{n}e21474836{n % 100:02}" for n in range(N)]
    assert load(tmp_path, draft(table(customer_id=ids, other=ids, churn=outcome(1, 0)))).entity_key == "customer_id"


def test_a_key_that_is_only_unique_is_doubted() -> None:
    text = draft(table(churn=outcome(1, 0)).rename(columns={"customer_id": "msno"}))
    assert "it is not called like a key, and was taken because it is different in every row" in checks(text)


@pytest.mark.parametrize(
    ("values", "said", "high"),
    [
        ([f"{number},71" for number in MANY], {"decimal": ","}, 399.71),
        ([f"{number}.234,56" for number in MANY + 1], {"decimal": ",", "thousands": "."}, 400_234.56),
        ([f"${number:,.2f}" for number in MANY * 37.5], {"thousands": ",", "currency": "$"}, 14_962.5),
        ([f"{number:,.2f} €" for number in MANY * 37.5], {"thousands": ",", "currency": "€"}, 14_962.5),
        (
            [f"CHF {number:,.2f}".replace(",", "'") for number in MANY * 37.5],
            {"thousands": "'", "currency": "CHF"},
            14_962.5,
        ),
        ([f"{number:,}".replace(",", " ") for number in MANY * 37], {"thousands": " "}, 14_763),
        ([f"{number:,}" for number in MANY * 37], {"thousands": ","}, 14_763),
        ([f"₺{number:,.2f}" for number in MANY * 37.5], {"thousands": ",", "currency": "₺"}, 14_962.5),
        ([f"COP {number:,.2f}" for number in MANY * 37.5], {"thousands": ",", "currency": "COP"}, 14_962.5),
        (["9,99" if number % 2 else "14,99" for number in MANY], {"decimal": ","}, 14.99),
    ],
)
def test_how_numbers_are_written_is_a_setting_with_a_check(
    tmp_path: Path, values: list[str], said: dict[str, str], high: float
) -> None:
    text = draft(table(spend=values, churn=outcome(1, 0)))
    contract = load(tmp_path, text)
    assert contract.file_format.model_dump(exclude_defaults=True) == said
    assert contract.columns["spend"].kind == "numeric"
    assert contract.columns["spend"].max >= high  # type: ignore[operator]
    assert "numbers are not written plainly" in checks(text)


@pytest.mark.parametrize(
    "values",
    [
        [f"A-{number},{number}" for number in MANY],
        MANY / 8,
        [f"1.{n:03}" for n in MANY],
        *([f"{letters}{n:05}" for n in MANY] for letters in ("SUB", "CLI", "INN", "C")),
    ],
)
def test_plain_numbers_and_codes_need_no_setting(values: Any) -> None:
    assert "file_format" not in draft(table(spend=values, churn=outcome(1, 0)))


def test_a_column_called_like_one_of_the_tables_themselves_gets_another_name(tmp_path: Path) -> None:
    frame = table(**{"Customer Value": MANY, "Label": MANY % 7, "treated": MANY % 2, "churn": outcome(1, 0)})
    contract = load(tmp_path, draft(frame))
    assert list(contract.columns) == ["tenure", "customer_value_input", "label_input", "treated_input"]
    assert contract.columns["customer_value_input"].aliases == ("Customer Value",)


def test_names_in_other_alphabets_stay_different(tmp_path: Path) -> None:
    frame = table(**{"возраст": MANY, "客户等级": MANY % 7, "客户地区": MANY % 5, "churn": outcome(1, 0)})
    assert len(load(tmp_path, draft(frame)).columns) == 4
