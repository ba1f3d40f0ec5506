"""The charts: well-formed, the same every time, and saying what they were given."""

from __future__ import annotations

import ast
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import matplotlib
import pytest

from churn.evaluation.evaluate import Evaluation, EvaluationSettings, evaluate
from churn.model.money import MoneySettings
from reports import charts
from reports.chart_style import COLOURS, chart, drawn_once, shortened
from tests.fakes.data.predictions import predictions

pytestmark = pytest.mark.slow

SAMPLE = predictions(600)
EVALUATION = evaluate(
    SAMPLE.label,
    SAMPLE.probability,
    SAMPLE.entity,
    thresholds={"f1": 0.33, "late": 0.9},
    money=MoneySettings(),
    value=200.0,
    slices={},
    settings=EvaluationSettings(resamples=100, calibration_bins=7),
    seed=1,
)
POINTS = {name: found.point for name, found in EVALUATION.metrics.items()}


def nobody_is_treated() -> Evaluation:
    none = EVALUATION.metrics["roc_auc"].model_copy(update={"point": 0.0})
    metrics = EVALUATION.metrics | {"share_at_profit": none, "profit_per_customer": none}
    campaign = EVALUATION.campaign.model_copy(update={"threshold": (0.1, 0.4)})
    return EVALUATION.model_copy(update={"metrics": metrics, "campaign": campaign})


CHARTS: dict[str, tuple[Callable[[], str], tuple[str, ...]]] = {
    "roc": (lambda: charts.roc(EVALUATION), (f"ROC AUC {POINTS['roc_auc']:.3f}",)),
    "precision recall": (
        lambda: charts.precision_recall(EVALUATION),
        (
            f"average precision {POINTS['average_precision']:.3f}",
            f"everybody: {100 * POINTS['churn_share']:.1f}% churn",
        ),
    ),
    "lift": (
        lambda: charts.lift(EVALUATION),
        (f"lift in the top decile {POINTS['top_decile_lift']:.2f}",),
    ),
    "profit": (
        lambda: charts.profit(EVALUATION),
        (
            f"share treated {100 * POINTS['share_at_profit']:.1f}%",
            f"{POINTS['profit_per_customer']:.2f} USD per customer and month",
            "expected by the model",
        ),
    ),
    "profit of nobody": (lambda: charts.profit(nobody_is_treated()), ("share treated 0.0%",)),
    "reliability": (
        lambda: charts.reliability(EVALUATION),
        ("predicted churn probability; each point 85 to 86 rows",),
    ),
    "one bin": (
        lambda: charts.reliability(EVALUATION.model_copy(update={"reliability": EVALUATION.reliability[:1]})),
        (f"predicted churn probability; each point {EVALUATION.reliability[0].rows} rows",),
    ),
    "scores": (
        lambda: charts.score_distribution(EVALUATION),
        ("stayed", "churned", " expected value 16.4% ", " F1 33.0% ", " late 90.0% "),
    ),
    "importance": (
        lambda: charts.importance(["length of the contract", "months"], [0.914, 0.2]),
        ("length of the contract", "0.91"),
    ),
    "importance of nothing": (lambda: charts.importance(["months"], [0.0]), ("months", "0.00")),
    "reasons": (
        lambda: charts.reasons(["contract: Monthly", "tenure: 2", "a", "b"], [0.9, -0.5, 0.1, 0.1], -1.0, top=2),
        (
            "From the model's starting point of 26.9% to this customer's 40.1%",
            "×2.46",
            "×0.61",
            "all others (2)",
            "×1.22",
        ),
    ),
    "tuning": (
        lambda: charts.tuning_history([0.42, None, 0.41], "log loss over the folds"),
        ("log loss over the folds (lower is better)", "fixed configuration", "best so far"),
    ),
    "tuning that never finished": (lambda: charts.tuning_history([None], "log loss"), ("trial",)),
}


class Drawn(NamedTuple):
    """One chart as it was drawn, and words that it must hold."""

    svg: str
    words: tuple[str, ...]


@pytest.fixture(scope="module", params=list(CHARTS))
def drawn(request: pytest.FixtureRequest) -> Drawn:
    draw, words = CHARTS[request.param]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Drawn(draw(), words)


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_a_chart_is_one_svg_element_that_says_what_it_shows(drawn: Drawn) -> None:
    root = ElementTree.fromstring(drawn.svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("role") == "img"
    title = str(root.get("aria-label"))
    assert "".join(title.split()) in "".join("".join(texts(drawn.svg)).split())
    assert all(words in texts(drawn.svg) or words in title for words in drawn.words)


def test_the_same_drawing_gives_the_same_bytes() -> None:
    def draw(axes: Any) -> None:
        axes.plot([0, 1, 3], [2, 1, 4], color=COLOURS["primary"], label="a line")

    assert chart("title", "x", "y", draw) == chart("title", "x", "y", draw)


def test_a_chart_is_drawn_once_for_the_same_values_and_anew_for_others() -> None:
    drawings: list[int] = []

    @drawn_once
    def draw(values: list[int]) -> str:
        drawings.append(sum(values))
        return f"<svg>{values}</svg>"

    assert draw([1, 2]) == draw([1, 2]) == "<svg>[1, 2]</svg>"
    assert draw([2, 2]) == "<svg>[2, 2]</svg>"
    assert drawings == [3, 4]


@pytest.mark.parametrize("module", sorted(Path(charts.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_no_page_draws_a_chart_again_that_another_page_of_the_run_shows(module: Path) -> None:
    for function in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(function, ast.FunctionDef) and module.stem != "chart_style":
            calls = {ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
            remembered = "drawn_once" in map(ast.unparse, function.decorator_list)
            assert remembered or not calls & {"chart", "small_multiples"}, function.name


def test_a_chart_follows_the_theme_of_its_page(drawn: Drawn) -> None:
    svg = drawn.svg
    assert f"var(--primary, {COLOURS['primary']})" in svg
    for role, colour in COLOURS.items():
        assert colour not in svg.replace(f"var(--{role}, {colour})", "")


def test_a_chart_refers_to_nothing_but_its_own_parts(drawn: Drawn) -> None:
    root = ElementTree.fromstring(drawn.svg)
    known = {node.get("id") for node in root.iter() if node.get("id")}
    links = {value for node in root.iter() for key, value in node.attrib.items() if key.endswith("href")}
    assert {link.removeprefix("#") for link in links} <= known


def test_two_charts_on_one_page_share_no_identifier() -> None:
    found = [
        {node.get("id") for node in ElementTree.fromstring(svg).iter() if node.get("id")}
        for svg in (charts.roc(EVALUATION), charts.lift(EVALUATION), charts.reliability(EVALUATION))
    ]
    assert all(found)
    assert len(set.union(*found)) == sum(map(len, found))


def test_names_from_the_data_are_text_and_nothing_else() -> None:
    names = ["<script>alert(1)</script>", "price in $ and $", "a & b"]
    svg = charts.importance(names, [0.3, 0.2, 0.1])
    assert set(names) <= set(texts(svg))
    assert "<script" not in svg


def test_importance_shows_the_strongest_features_strongest_first() -> None:
    svg = charts.importance(["weak", "strong", "middle"], [0.1, 0.9, 0.5], top=2)
    assert "weak" not in svg
    # Matplotlib writes labels from the lowest bar upwards.
    assert svg.index(">middle<") < svg.index(">strong<")


def test_the_reasons_add_up_to_the_customers_risk() -> None:
    # logit(0.5) = 0 and logit(0.8808) = 2.
    title = "From the model&#x27;s starting point of 50.0% to this customer&#x27;s 88.1%"
    assert title in charts.reasons(["a", "b"], [3.0, -1.0], 0.0)


def test_a_pointer_and_a_screen_reader_find_the_values() -> None:
    drawings = {
        "bars": (
            charts.importance(["length of the contract", "months"], [0.914, 0.2]),
            "length of the contract: 0.914",
        ),
        "a line": (charts.lift(EVALUATION), f"10.0%: {POINTS['top_decile_lift']:.4g}"),
        "a histogram": (charts.score_distribution(EVALUATION), f"stayed, 1.2%: {EVALUATION.scores['stayed'][0]}"),
    }
    for svg, words in drawings.values():
        root = ElementTree.fromstring(svg)
        titles = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}title")]
        assert words in titles
        assert titles[0] in str(root.findtext("{http://www.w3.org/2000/svg}desc"))


def test_drawing_leaves_the_users_own_settings_alone() -> None:
    before = dict(matplotlib.rcParams)
    charts.roc(EVALUATION)
    assert dict(matplotlib.rcParams) == before


def test_drawing_needs_no_display_and_no_global_figure() -> None:
    code = "import sys; from reports import charts; "
    code += "assert 'matplotlib' not in sys.modules, 'imported'; "
    code += "charts.importance(['a'], [1.0]); print('matplotlib.pyplot' in sys.modules)"
    root = Path(charts.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "False"


def test_a_common_threshold_is_drawn_only_where_customers_have_one() -> None:
    assert "expected value" in charts.score_distribution(EVALUATION)
    assert "expected value" not in charts.score_distribution(nobody_is_treated())


def test_every_chart_of_a_holdout_has_a_name_of_its_own() -> None:
    drawn = {name: draw(EVALUATION) for name, draw in charts.HOLDOUT_CHARTS.items()}
    assert len(set(drawn.values())) == len(drawn) == 6


def test_long_names_are_cut_in_the_middle() -> None:
    assert shortened("x" * 36) == "x" * 36
    assert shortened("number of services of the first kind, in months", 21) == "number of…in months"
    assert len(shortened("x" * 37)) <= 36


def test_a_title_with_quotes_is_escaped() -> None:
    svg = chart('a "b" <c>', "x", "y", lambda axes: axes.plot([0, 1], [0, 1]) and None)
    assert ElementTree.fromstring(svg).get("aria-label") == 'a "b" <c>'
