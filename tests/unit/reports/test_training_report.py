"""What the pages say about how a model came about."""

from __future__ import annotations

from typing import Any

import pytest

from reports.page import Callout, Definitions, Figure, Section, Table
from reports.training_report import registration_section, training_section, tuning_section
from tests.fakes.data.findings import REGISTRATION, TRAINING, TUNING


def blocks(section: Section, kind: type) -> list[Any]:
    return [block for block in section.blocks if isinstance(block, kind)]


def rows(table: Table) -> list[dict[str, object]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_tuning_shows_what_it_bought_and_every_trial() -> None:
    section = tuning_section(TUNING)
    (verdict,), (figure,), (table,) = (blocks(section, kind) for kind in (Callout, Figure, Table))
    assert verdict.text == "The search saved 0.0105 of log loss."
    assert "log loss, out of fold (lower is better)" in figure.svg
    assert (table.caption, table.folded) == ("All 3 trials", True)
    assert [(row["trial"], row["state"], row["log loss"], row["max_depth"], row["seconds"]) for row in rows(table)] == [
        (0, "complete", "0.4210", 2, 1.2),
        (1, "pruned", None, 6, 0.5),
        (2, "best", "0.4105", 3, 2.0),
    ]


def test_a_search_that_did_not_take_place_says_why_and_shows_nothing() -> None:
    off = TUNING.model_copy(update={"trials": (), "best": None, "reason": "Tuning is off."})
    assert tuning_section(off).blocks == [Callout("Tuning is off.")]


def test_profit_is_drawn_as_a_loss_so_that_lower_is_better() -> None:
    trials = tuple(trial.model_copy(update={"value": trial.value and 10 * trial.value}) for trial in TUNING.trials)
    for_profit = TUNING.model_copy(update={"objective": "profit", "trials": trials})
    (svg,) = (figure.svg for figure in blocks(tuning_section(for_profit), Figure))
    assert "negative profit per customer and month, out of fold (lower is better)" in svg
    assert ">\N{MINUS SIGN}4." in svg
    (table,) = blocks(tuning_section(for_profit), Table)
    assert [row["profit per customer and month"] for row in rows(table)] == ["4.21", None, "4.10"]


def test_the_model_card_says_what_was_learned_from_and_what_was_chosen() -> None:
    section = training_section(TRAINING)
    (facts,) = blocks(section, Definitions)
    assert facts.items["trained on"] == "4,800 rows of 2,400 customers, churn rate 25.0%"
    assert facts.items["made of"] == "additive + boosting (mean of their log-odds)"
    assert (facts.items["threshold for F1"], facts.items["boosting rounds"], facts.items["CPU seconds"]) == (
        0.33,
        120,
        2.0,
    )
    candidates, calibration = blocks(section, Table)
    assert [(row["candidate"], row["behind the default"], row["choice"]) for row in rows(candidates)] == [
        ("additive + boosting", "0.0000 ± 0.0000", "chosen"),
        ("additive", "0.0055 ± 0.0010", ""),
    ]
    assert [row["probabilities"] for row in rows(calibration)] == ["as fitted", "as used"]


def test_a_model_of_one_candidate_is_no_mean_and_the_default_is_marked() -> None:
    blends = (
        TRAINING.blends[1].model_copy(update={"chosen": True}),
        TRAINING.blends[0].model_copy(update={"chosen": False}),
    )
    section = training_section(TRAINING.model_copy(update={"chosen": ("additive",), "blends": blends}))
    assert blocks(section, Definitions)[0].items["made of"] == "additive"
    assert [row["choice"] for row in rows(blocks(section, Table)[0])] == ["chosen", "default"]


@pytest.mark.parametrize(
    ("applied", "words"),
    [
        (True, "recalibrated: a line through the log-odds saves 0.00010 ± 0.00020 of log loss"),
        (
            False,
            "not recalibrated: a line through the log-odds saves 0.00010 ± 0.00020 of log loss, which is within the "
            "noise",
        ),
    ],
)
def test_the_calibration_is_told_in_words(applied: bool, words: str) -> None:
    line = TRAINING.calibration.model_copy(update={"applied": applied})
    section = training_section(TRAINING.model_copy(update={"calibration": line}))
    assert blocks(section, Definitions)[0].items["calibration"] == words


@pytest.mark.parametrize(
    ("unchanged", "state"), [(False, "4 (new)"), (True, "4 (unchanged: the same model was there before)")]
)
def test_the_registered_version_is_shown_with_its_tags(unchanged: bool, state: str) -> None:
    section = registration_section(REGISTRATION.model_copy(update={"unchanged": unchanged}))
    items = blocks(section, Definitions)[0].items
    assert (items["model"], items["version"], items["alias"]) == ("churn_gym_simulated", state, "@Challenger")
    assert (items["MLflow run"], section.lead) == ("run-1", "Churn model of the gym.")
    (tags,) = blocks(section, Table)
    assert tags.folded
    assert ["data_version", "7"] in [list(row) for row in tags.rows]
