"""Every kind of page in a real browser, on a desk and a phone, light and dark: nothing is cut off or hard to read."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from materializers.views import VIEWS
from reports.batch_report import batch_page
from reports.campaign_report import campaign_page
from reports.customer_report import customer_page
from reports.effect_report import effect_page
from reports.gate_report import gate_page
from reports.page import page
from reports.training_report import training_page
from tests.fakes.data.batches import feature_rows, summary_of
from tests.fakes.data.campaigns import campaign
from tests.fakes.data.evaluations import evaluation
from tests.fakes.data.findings import (
    LEAKAGE,
    REGISTRATION,
    SNAPSHOT,
    TRAINING,
    TUNING,
    VALIDATION,
    explanation,
    findings,
)
from tests.fakes.data.gate_reports import DEPLOYMENT, FAILED, VERSION_STATUS, gate_report
from tests.unit.lifecycle.test_recording import settings
from tests.unit.reports.test_customer_report import said
from tests.unit.reports.test_effect_report import EFFECT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

NEXT = "python run.py ui"
LONG = "9d2f4a71-6c1b-4b8e-9f0a-77c1d2e3f4a5"
ARGUMENTS = ["--no-sandbox", "--in-process-gpu", "--disable-software-rasterizer"]


def shown(value: Any) -> str:
    """Return the page that the dashboard shows of a value."""
    view = VIEWS[type(value)]
    return page(view.title(value), view.sections(value))


PAGES: Mapping[str, Callable[[], str]] = {
    "training": lambda: training_page(
        findings(), REGISTRATION, validation=VALIDATION, leakage=LEAKAGE, settings=settings()
    ),
    "gate that passes": lambda: gate_page(gate_report(), next_command=NEXT),
    "gate that refuses": lambda: gate_page(gate_report(checks=(FAILED,)), next_command=NEXT),
    "inference": lambda: batch_page(summary_of(intake=VALIDATION, inactive=40), next_command=NEXT),
    "inference of other customers": lambda: batch_page(
        summary_of(400, judged_on=feature_rows(300, contract=["Two year"] * 300)), next_command=NEXT
    ),
    "campaign": lambda: campaign_page(campaign()),
    "campaign of nobody": lambda: campaign_page(campaign(capacity=0)),
    "what campaigns changed": lambda: effect_page(EFFECT),
    "customer": lambda: customer_page(said()),
    "customer with a long id": lambda: customer_page(said(customer=LONG)),
    **{
        type(value).__name__: lambda value=value: shown(value)  # type: ignore[misc]
        for value in (SNAPSHOT, VALIDATION, LEAKAGE, TUNING, TRAINING, REGISTRATION, VERSION_STATUS, DEPLOYMENT)
    },
    "Evaluation": lambda: shown(evaluation()),
    "Explanation": lambda: shown(explanation()),
}

AUDIT = """() => {
  const faults = [], light = (channel) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  const rgba = (text) => {
    const parts = text.match(/[\\d.]+/g).map(Number);
    return parts.length > 3 ? parts : [...parts, 1];
  };
  const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 1) return colour;
    }
    return [255, 255, 255, 1];
  };
  const words = (node) => node.textContent.trim().slice(0, 60);
  const width = document.documentElement.scrollWidth;
  if (width > innerWidth) faults.push(`the page is ${width} pixels wide, the window ${innerWidth}`);
  for (const box of document.querySelectorAll('.scroll'))
    if (innerWidth < 500 && box.scrollWidth > box.clientWidth + 1) faults.push(`a table scrolls: ${words(box)}`);
  for (const table of document.querySelectorAll('table')) {
    if (!table.caption || !words(table.caption)) faults.push(`no caption: ${words(table)}`);
    for (const row of table.querySelectorAll('tbody tr'))
      if (row.cells.length > 1 && !row.querySelector('th[scope=row]')) faults.push(`no row heading: ${words(row)}`);
  }
  for (const head of document.querySelectorAll('thead th'))
    if (!words(head)) faults.push(`an empty heading: ${words(head.parentElement)}`);
  for (const id of document.querySelectorAll('.unbroken'))
    if (id.getClientRects().length > 1) faults.push(`broken in two: ${words(id)}`);
  for (const drawing of document.querySelectorAll('svg')) {
    if (!drawing.getAttribute('aria-label')) faults.push('a chart without words');
    const scale = drawing.getBoundingClientRect().width / drawing.viewBox.baseVal.width;
    for (const text of drawing.querySelectorAll('text')) {
      const size = parseFloat(getComputedStyle(text).fontSize) * scale;
      if (scale && size < 9) faults.push(`${size.toFixed(1)} pixels high in a chart: ${words(text)}`);
    }
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    const seen = node.getClientRects().length && !node.closest('title, desc, style, .unseen');
    if (!seen || !walker.currentNode.data.trim()) continue;
    const style = getComputedStyle(node), drawn = node.closest('svg');
    const [a, b] = [luminance(rgba(drawn ? style.fill : style.color)), luminance(behind(node))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(2)}: ${words(node)}`);
  }
  return faults;
}"""


@pytest.fixture(scope="module")
def browser(require: Callable[[object, str], None]) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    require(found, "chromium: apt-get install chromium")
    with sync_playwright() as browsers:
        started = browsers.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield started
        started.close()


@pytest.mark.parametrize("name", list(PAGES))
def test_nothing_is_cut_off_unlabelled_or_hard_to_read(browser: Browser, name: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGES[name](), encoding="utf-8")
    found = {}
    for width in (1280, 400):
        opened = browser.new_page(viewport={"width": width, "height": 900})
        opened.goto((tmp_path / "page.html").as_uri())
        for details in opened.query_selector_all("details"):
            details.evaluate("node => node.open = true")
        for scheme in ("light", "dark"):
            opened.emulate_media(color_scheme=scheme)
            found[f"{width} {scheme}"] = opened.evaluate(AUDIT)
        opened.close()
    assert not any(found.values()), found


def test_the_audit_finds_what_it_looks_for(browser: Browser) -> None:
    cell = "<table><thead><tr><th></th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>"
    opened = browser.new_page(viewport={"width": 400, "height": 900})
    opened.set_content(f"<p style='width:600px;color:#999;background:#fff'>pale</p>{cell}<svg viewBox='0 0 9 9'></svg>")
    found = opened.evaluate(AUDIT)
    opened.close()
    for words in ("pixels wide", "no caption", "no row heading", "an empty heading", "contrast 2.85", "without words"):
        assert any(words in fault for fault in found), found
