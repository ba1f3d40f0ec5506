"""The charts of a gate: well-formed, the same every time, and saying what they were given."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from churn.gate.report import Histogram
from reports.chart_style import COLOURS
from reports.gate_charts import TOP_SLICES, fold_gains, gain_distribution, profit_curves, slice_gains
from tests.fakes.data.gate_reports import METRICS, RECIPES, SLICES, estimate, evaluation, paired, part

pytestmark = pytest.mark.slow

LOG_LOSS, _, PROFIT, PR_AUC, *_ = METRICS
MANY = tuple(part("plan", f"value {i}", 100 + i, 0.001 * (i - 20), 0.0, 1.0, worse=i == 59) for i in range(60))


def distribution(edges: tuple[float, ...], counts: tuple[int, ...]) -> str:
    """Return the drawing of a lead that came out like this."""
    metric = LOG_LOSS.model_copy(update={"draws": Histogram(edges=edges, counts=counts), "margin": None})
    return gain_distribution(metric, "Log loss saved", "nats", digits=4)


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
    "a tested lead": (
        lambda: gain_distribution(PROFIT, "USD gained, on the holdout", "USD per customer gained", digits=2),
        ("0.11 (-0.10 to 0.32)", "allowed loss", "USD per customer gained; right of 0 the challenger is better"),
    ),
    "a lead without a margin": (
        lambda: gain_distribution(PR_AUC, "Average precision", "gained", digits=4),
        ("0.0041 (-0.0022 to 0.0104)",),
    ),
    "no difference at all": (lambda: distribution((-0.5, 0.5), (2000,)), ("0.0022 (0.0001 to 0.0043)",)),
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


@pytest.mark.parametrize(
    ("edges", "behind", "ahead"),
    [
        ((0.1, 0.2, 0.3), False, True),
        ((0.0, 0.2, 0.3), False, True),
        ((-0.3, -0.2, -0.1), True, False),
        ((-0.3, -0.2, 0.0), True, False),
        ((-0.3, -0.1, 0.3), True, True),
    ],
)
def test_resamples_where_the_challenger_is_behind_have_another_colour(
    edges: tuple[float, ...], behind: bool, ahead: bool
) -> None:
    svg = distribution(edges, (7, 9))
    assert (uses(svg, "secondary"), uses(svg, "primary")) == (behind, ahead)


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


def test_a_lead_within_the_drawing_shows_its_allowed_loss_only_where_it_is_tested() -> None:
    assert "allowed loss" not in texts(gain_distribution(PR_AUC, "t", "u", digits=4))
    assert "allowed loss" in texts(gain_distribution(paired("roc_auc", 0.8, 0.0, 0.002, 0.0), "t", "u", digits=4))
