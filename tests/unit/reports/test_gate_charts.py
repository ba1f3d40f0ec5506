"""The charts of a gate: well-formed, the same every time, and saying what they were given."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from reports.chart_style import COLOURS
from reports.gate_charts import TOP_SLICES, ForestRow, fold_gains, gains_forest, profit_curves, slice_gains
from tests.fakes.data.gate_reports import RECIPES, SLICES, estimate, evaluation, part

pytestmark = pytest.mark.slow

MANY = tuple(part("plan", f"value {i}", 100 + i, 0.001 * (i - 20), 0.0, 1.0, worse=i == 59) for i in range(60))


def row(point: float, se: float, *, unit: float = 0.005, tone: str = "primary") -> ForestRow:
    return ForestRow("log loss", estimate(point, se), unit, "0.0010 (0.0002 to 0.0018)", tone)


CASES: dict[str, tuple[Callable[[], str], tuple[str, ...]]] = {
    "profit of both": (
        lambda: profit_curves({"champion, version 3": evaluation(0.8), "challenger, version 5": evaluation(0.4)}),
        tuple(
            f"{name}: {evaluation(noise).metrics['profit_per_customer'].point:.2f} USD"
            for name, noise in (("champion, version 3", 0.8), ("challenger, version 5", 0.4))
        ),
    ),
    "profit of one": (
        lambda: profit_curves({"challenger, version 1": evaluation(0.4)}),
        ("profit per customer and month, USD",),
    ),
    "gains": (
        lambda: gains_forest([row(0.001, 0.0005), row(-0.01, 0.001, tone="secondary")], "Gains", "90%"),
        ("log loss", "0.0010 (0.0002 to 0.0018)", "0 is no difference, -1 the allowed loss", "90% intervals"),
    ),
    "a gain without any spread": (lambda: gains_forest([row(0.0, 0.0, unit=1.0)], "Equal", "90%"), ("log loss",)),
    "a gain beyond the drawing": (lambda: gains_forest([row(9.0, 0.1)], "Far", "90%"), ("log loss",)),
    "folds": (
        lambda: fold_gains(RECIPES.metrics[0], "Log loss by fold", "log loss saved"),
        ("mean, with its interval", "log loss saved"),
    ),
    "folds without any difference": (
        lambda: fold_gains(
            RECIPES.metrics[0].model_copy(update={"gain": estimate(0.0, 0.0), "folds": (0.0,) * 4}), "Equal", "saved"
        ),
        ("mean, with its interval",),
    ),
    "slices": (
        lambda: slice_gains(SLICES, "log_loss", "Log loss saved, by group", "log loss saved"),
        ("contract: Month-to-month", "senior_citizen: 0"),
    ),
    "many slices": (lambda: slice_gains(MANY, "log_loss", "The weakest", "saved"), ("plan: value 0", "plan: value 59")),
}


@pytest.fixture(scope="module", params=list(CASES))
def drawn(request: pytest.FixtureRequest) -> tuple[str, tuple[str, ...], Callable[[], str]]:
    draw, words = CASES[request.param]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return draw(), words, draw


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def uses(svg: str, role: str) -> bool:
    return f"var(--{role}, {COLOURS[role]})" in svg


def test_a_chart_says_what_it_was_given(drawn: tuple[str, tuple[str, ...], Callable[[], str]]) -> None:
    svg, words, _ = drawn
    title = str(ElementTree.fromstring(svg).get("aria-label"))
    shown = "".join("".join(texts(svg)).split())  # long titles and labels go on in a second line
    assert all("".join(part.split()) in shown for part in (title, *words))


def test_a_chart_follows_the_theme_of_its_page(drawn: tuple[str, tuple[str, ...], Callable[[], str]]) -> None:
    svg, _, _ = drawn
    assert "var(--" in svg
    for role, colour in COLOURS.items():
        assert colour not in svg.replace(f"var(--{role}, {colour})", "")


def test_a_gain_whose_check_failed_has_another_colour() -> None:
    failed = gains_forest([row(-0.01, 0.001, tone="secondary")], "Failed", "90%")
    assert uses(failed, "secondary")
    assert not uses(failed, "primary")


def test_a_model_alone_is_drawn_as_the_challenger() -> None:
    alone = profit_curves({"challenger, version 1": evaluation(0.4)})
    assert (uses(alone, "primary"), uses(alone, "secondary")) == (True, False)


def test_of_many_slices_the_weakest_are_drawn_and_every_one_that_is_worse() -> None:
    labels = [text for text in texts(slice_gains(MANY, "log_loss", "The weakest", "saved")) if text.startswith("plan")]
    weakest = [f"plan: value {i}" for i in range(TOP_SLICES - 1)]
    assert set(labels) == {*weakest, "plan: value 59"}


def test_slices_stand_in_the_order_of_the_page() -> None:
    svg = slice_gains(SLICES, "log_loss", "by group", "saved")
    # Matplotlib writes labels in the order they were given: the topmost first.
    assert svg.index("contract: One year") < svg.index("internet_service: DSL") < svg.index("senior_citizen: 0")


def test_a_slice_that_is_worse_has_a_colour_of_its_own() -> None:
    fine, worse = part("plan", "a", 400, 0.002, 0.1, 1.0), part("plan", "b", 400, -0.02, -1.0, 0.01, worse=True)
    assert not uses(slice_gains([fine], "log_loss", "one", "saved"), "secondary")
    assert uses(slice_gains([fine, worse], "log_loss", "two", "saved"), "secondary")


def test_names_from_the_data_are_text_and_nothing_else() -> None:
    evil = part("<script>", "alert(1) & $x$", 400, 0.002, 0.1, 1.0)
    svg = slice_gains([evil], "log_loss", "by group", "saved")
    assert "<script>: alert(1) & $x$" in texts(svg)
    assert "<script" not in svg
