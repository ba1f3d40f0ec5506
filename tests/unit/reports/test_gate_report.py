"""The page of a gate: the verdict first, everything it rests on below, whatever could not be computed left out."""

from __future__ import annotations

import re
from typing import Any

import pytest

from churn.core.estimate import Estimate
from churn.gate.report import GateReport
from reports.gate_report import gate_page, gate_rule, gate_sections, gate_title, gate_verdict
from reports.page import Callout, Card, Cards, Definitions, Section, Table
from tests.fakes.data.gate_reports import (
    AT,
    CHECKS,
    DEPLOYMENT,
    FAILED,
    HOLDOUT,
    NEWEST,
    SLICES,
    UNANSWERED,
    VERSION_STATUS,
    contestant,
    estimate,
    first_report,
    gate_report,
)

pytestmark = pytest.mark.slow

BARE: dict[str, Any] = {"holdout": None, "recipes": None}
NEXT = "python run.py models"


def without_evaluations(**changes: Any) -> GateReport:
    """Return a report that needs no drawing."""
    mute = {"evaluation": None}
    champion, challenger = contestant(3, 0.8).model_copy(update=mute), contestant(5, 0.4).model_copy(update=mute)
    return gate_report(**{"champion": champion, "challenger": challenger, **BARE} | changes)


def section(report: GateReport, title: str) -> Section:
    return next(each for each in gate_sections(report) if each.title == title)


def blocks(part: Section, kind: type) -> list[Any]:
    return [block for block in part.blocks if isinstance(block, kind)]


def rows(part: Section) -> dict[object, list[object]]:
    (table,) = blocks(part, Table)
    return {row[0]: list(row[1:]) for row in table.rows}


@pytest.fixture(scope="module")
def whole() -> str:
    return gate_page(gate_report(newest=NEWEST), next_command=NEXT)


@pytest.mark.parametrize(
    ("checks", "verdict"),
    [
        (CHECKS, "Version 5 passes the gate: all 4 checks passed."),
        ((*CHECKS, FAILED), "Version 5 is refused: slices failed."),
        ((UNANSWERED,), "Version 5 is refused: model card could not be answered."),
        ((FAILED, UNANSWERED, *CHECKS), "Version 5 is refused: slices failed; model card could not be answered."),
        ((FAILED.model_copy(update={"name": "roc_auc"}),), "Version 5 is refused: ROC AUC failed."),
        ((), "Version 5 is refused: nothing was checked."),
    ],
)
def test_the_verdict_is_one_sentence_with_the_checks_by_name(checks: tuple[Any, ...], verdict: str) -> None:
    assert gate_verdict(without_evaluations(checks=checks)) == verdict


def test_a_verdict_names_four_checks_and_counts_the_others() -> None:
    failed = [FAILED.model_copy(update={"name": f"check_{i}"}) for i in range(6)]
    assert gate_verdict(without_evaluations(checks=tuple(failed))) == (
        "Version 5 is refused: check 0, check 1, check 2, check 3 and 2 more failed."
    )


def test_the_page_gives_the_verdict_before_anything_else_and_the_next_command_last(whole: str) -> None:
    order = [
        "churn_telco: version 5 against champion version 3",
        "Version 5 passes the gate",
        "Differences under 0.31 USD of profit per customer and month",
        ">Checks</h2>",
        ">Side by side</h2>",
        ">Money</h2>",
        ">The same holdout</h2>",
        ">The newest outcomes</h2>",
        ">Is the recipe better?</h2>",
        ">Groups of customers</h2>",
        ">How it was judged</h2>",
        NEXT,
    ]
    positions = [whole.index(words) for words in order]
    assert positions == sorted(positions)


def test_the_page_fetches_and_runs_nothing(whole: str) -> None:
    assert re.findall(r"""\b(?:src|href)=["'](?!#)[^"']*""", whole) == []
    assert "<script" not in whole


def test_no_two_drawings_of_the_page_share_an_identifier(whole: str) -> None:
    found = [re.findall(r'\bid="([^"]+)"', svg) for svg in re.findall(r"<svg.*?</svg>", whole, re.DOTALL)]
    assert len(found) == 1 + 1 + 2 + 2
    every = [name for names in found for name in set(names)]
    assert len(every) == len(set(every))


def test_the_same_report_gives_the_same_page(whole: str) -> None:
    assert gate_page(gate_report(newest=NEWEST), next_command=NEXT) == whole


def test_every_check_is_listed_with_what_was_found_and_what_it_means() -> None:
    table = rows(section(without_evaluations(checks=(*CHECKS, FAILED, UNANSWERED)), "Checks"))
    assert list(table) == [
        "slices",
        "model card",
        "package digest",
        "recipe",
        "profit per customer and month",
        "calibration error (ECE)",
    ]
    assert table["profit per customer and month"] == [
        "✓\N{NO-BREAK SPACE}passed",
        "gained at least 0.11 USD",
        "lost at most 0.92 USD",
        CHECKS[2].sentence,
    ]
    assert table["slices"][0] == "✕\N{NO-BREAK SPACE}failed"
    assert table["model card"] == ["!\N{NO-BREAK SPACE}no answer", None, None, UNANSWERED.sentence]


def test_a_refusal_says_at_once_why() -> None:
    refused = section(without_evaluations(checks=(*CHECKS, FAILED, UNANSWERED)), "Verdict")
    badge, *_ = blocks(refused, Cards)
    assert badge.cards[0] == Card("gate", "REFUSED", "4 of 6 checks passed", "bad")
    assert blocks(refused, Callout) == [
        Callout("slices: One group is worse off.", "bad"),
        Callout(f"model card: {UNANSWERED.sentence}", "bad"),
    ]
    assert blocks(section(without_evaluations(), "Verdict"), Callout) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"relation": "recipe"}, "another recipe than champion version 3. The recipe has to be better"),
        (
            {"relation": "recipe", "settings": gate_report().settings.model_copy(update={"rule": "non-inferiority"})},
            "The recipe has to be no worse, and the version itself sound",
        ),
        (
            {"relation": "recipe", "champion": contestant(3, 0.8).model_copy(update={"recipe_digest": "5e" * 32})},
            "the recipe of champion version 3, trained again on the same data",
        ),
        (
            {
                "relation": "recipe",
                "champion": contestant(3, 0.8).model_copy(update={"recipe_digest": None}),
                "challenger": contestant(5, 0.4).model_copy(update={"recipe_digest": None}),
            },
            "another recipe than champion version 3",
        ),
        ({"relation": "refresh"}, "the recipe of champion version 3, trained on other data"),
        (
            {
                "relation": "refresh",
                "champion": contestant(3, 0.8).model_copy(update={"trained_until": AT, "evaluation": None}),
            },
            "the recipe of champion version 3, trained on newer data",
        ),
        ({"relation": "identical", "challenger": contestant(3, 0.8)}, "Version 3 is the champion already."),
        ({"relation": "identical"}, "does exactly what champion version 3 does, so nothing can be gained"),
        ({"relation": "first", "champion": None}, "There is no champion yet, so version 5 has to clear bars"),
    ],
)
def test_the_reader_learns_what_the_challenger_has_to_prove(changes: dict[str, Any], words: str) -> None:
    assert words in section(without_evaluations(**changes), "Verdict").lead


def cards(**changes: Any) -> list[Card]:
    report = without_evaluations(**{"holdout": HOLDOUT.model_copy(update={"slices": ()})} | changes)
    _, block = blocks(section(report, "Verdict"), Cards)
    found: list[Card] = block.cards
    return found


def test_the_leads_come_first_in_money() -> None:
    assert [(card.label, card.value, card.note) for card in cards()] == [
        ("Profit per customer and month gained", "0.11 USD", "-0.10 to 0.32 (90% interval)"),
        ("ROC AUC gained", "0.0031", "0.0001 to 0.0061 (90% interval)"),
        ("Log loss saved", "0.0022", "0.0001 to 0.0043 (90% interval)"),
    ]
    by_recipe = cards(recipes=gate_report().recipes)[3:]
    assert [card.label for card in by_recipe] == [
        "Log loss saved, by the recipe",
        "ROC AUC gained, by the recipe",
    ]


@pytest.mark.parametrize(
    ("lower", "upper", "tone"),
    [(0.01, 0.2, "good"), (0.0, 0.2, "plain"), (-0.2, 0.0, "plain"), (-0.2, -0.01, "bad")],
)
def test_a_lead_is_marked_only_where_its_interval_leaves_no_doubt(lower: float, upper: float, tone: str) -> None:
    gain = Estimate(point=(lower + upper) / 2, lower=lower, upper=upper, se=0.1)
    profit = HOLDOUT.metrics[2].model_copy(update={"gain": gain})
    (card,) = cards(holdout=HOLDOUT.model_copy(update={"metrics": (profit,), "slices": ()}))
    assert card.tone == tone


def test_a_refresh_is_decided_on_the_newest_outcomes_where_there_are_any() -> None:
    lead = HOLDOUT.metrics[2].model_copy(update={"gain": estimate(2.0, 0.1)})
    newest = NEWEST.model_copy(update={"metrics": (lead,)})
    holdout = HOLDOUT.model_copy(update={"metrics": HOLDOUT.metrics[2:3], "slices": ()})
    profits = [
        cards(holdout=holdout, **changes)[0].value
        for changes in (
            {"relation": "refresh", "newest": newest},
            {"relation": "recipe", "newest": newest},
            {"relation": "refresh"},
        )
    ]
    assert profits == ["2.00 USD", "0.11 USD", "0.11 USD"]


def test_the_groups_are_those_of_the_rows_that_decide() -> None:
    newest = NEWEST.model_copy(update={"metrics": (), "slices": SLICES[-1:]})
    report = without_evaluations(relation="refresh", newest=newest, holdout=HOLDOUT.model_copy(update={"metrics": ()}))
    assert list(rows(section(report, "Groups of customers"))) == ["payment_method"]


def test_both_models_stand_side_by_side() -> None:
    part = section(gate_report(**BARE), "Side by side")
    (table,) = blocks(part, Table)
    assert list(table.columns) == [
        "what",
        "champion, version 3 (95% interval)",
        "challenger, version 5 (95% interval)",
    ]
    assert "Each model by itself on the holdout, with 95% intervals" in part.lead
    auc = [each.evaluation.metrics["roc_auc"] for each in (contestant(3, 0.8), contestant(5, 0.4)) if each.evaluation]
    shown = rows(part)
    assert shown["ROC AUC"] == [f"{x.point:.3f} ({x.lower:.3f} to {x.upper:.3f})" for x in auc]
    assert shown["digest of the recipe"] == ["3e3e3e3e3e3e", "5e5e5e5e5e5e"]
    assert shown["registered"] == ["2025-05-23 00:00 UTC", "2025-05-25 00:00 UTC"]
    assert shown["learned from rows until"] == ["2024-01-01 00:00 UTC"] * 2
    assert blocks(part, Definitions) == [
        Definitions({"champion, version 3": "Churn model number 3.", "challenger, version 5": "Churn model number 5."})
    ]


def test_a_first_version_shows_its_whole_evaluation_and_no_comparison() -> None:
    titles = [part.title for part in gate_sections(first_report())]
    assert titles == ["Verdict", "Checks", "The version", "At a glance", "Money", "Quality", "How it was judged"]
    assert gate_title(first_report()) == "churn_telco: version 5, the first to be judged"


def test_what_could_not_be_computed_is_left_out_and_the_page_is_whole() -> None:
    report = without_evaluations(checks=(UNANSWERED,))
    assert [part.title for part in gate_sections(report)] == ["Verdict", "Checks", "Side by side", "How it was judged"]
    assert "the registry is locked" in gate_page(report, next_command=NEXT)
    alone = without_evaluations(relation="first", champion=None, checks=(UNANSWERED,))
    assert [part.title for part in gate_sections(alone)] == ["Verdict", "Checks", "The version", "How it was judged"]


def test_a_report_says_how_it_was_judged_and_what_an_approval_is_bound_to() -> None:
    report = without_evaluations()
    (facts,) = blocks(section(report, "How it was judged"), Definitions)
    assert facts.items["digest of this report"] == report.digest
    assert facts.items["churn_training"] == "version 7, d1d1d1d1d1d1"
    assert facts.items["seconds"] == "holdout 2.1, recipes 31.4"
    assert str(facts.items["rule"]).startswith("It passes if on the same folds the recipe is better (superiority)")
    assert facts.items["chance of a wrong yes, in each test"] == "5%"
    assert facts.items["customers a campaign can contact"] == "all"


def test_names_from_the_registry_cannot_become_markup() -> None:
    evil = "<script>alert('x')</script>" * 20
    report = without_evaluations(
        model=evil,
        challenger=contestant(5, 0.4).model_copy(update={"description": evil, "evaluation": None}),
        checks=(FAILED.model_copy(update={"sentence": evil, "value": evil}),),
        evaluated_on={evil: evil},
    )
    html = gate_page(report, next_command=evil)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 20 * 7


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"relation": "refresh"}, "It passes if no metric of the version is worse beyond chance, and none"),
        ({"relation": "first", "champion": None}, "clears absolute bars, each by the lower end of its interval"),
        ({"relation": "recipe"}, "on the same folds the recipe is better (superiority), and no metric"),
        (
            {"relation": "code", "settings": gate_report().settings.model_copy(update={"code_change": "superiority"})},
            "and its log loss is better beyond chance (superiority)",
        ),
        ({"relation": "identical"}, "There was nothing to compare."),
    ],
)
def test_the_rule_is_the_one_that_was_applied(changes: dict[str, Any], words: str) -> None:
    report = without_evaluations(**changes)
    assert words in gate_rule(report)
    assert gate_rule(report) in section(report, "Verdict").lead


def badge(**changes: Any) -> list[Card]:
    cards: Cards = blocks(gate_sections(without_evaluations(), **changes)[0], Cards)[0]
    return list(cards.cards)


def test_the_badge_says_the_verdict_who_decided_and_what_is_live_now() -> None:
    assert badge() == [
        Card("gate", "PASSED", "4 of 4 checks passed", "good"),
        Card("live when judged", "version 3"),
    ]
    assert badge(status=VERSION_STATUS, outcome=DEPLOYMENT)[1:] == [
        Card("decision", "pending", "by Ada, 2025-06-01 09:30 UTC", "warn"),
        Card("live now", "version 5", "before: version 3", "good"),
    ]
    refused = DEPLOYMENT.model_copy(update={"state": "refused", "champion": 3, "previous": None})
    assert badge(outcome=refused)[1:] == [Card("live now", "version 3", "unchanged by this run", "plain")]
