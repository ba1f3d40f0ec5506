"""The page at `/` in a real browser: by mouse and keyboard, on desk and phone, in light and dark."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from serving.app import create_app
from serving.service import Service
from tests.fakes.data.case import settings
from tests.fakes.data.deciding import MODEL
from tests.fakes.data.endpoint import EndpointCase
from tests.fakes.data.served import HOSTILE, Server
from tests.unit.reports.test_pages_in_a_browser import ARGUMENTS, AUDIT
from tests.unit.serving.test_app import Tokens

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("served") / "log")
    yield started
    started.end()


@pytest.fixture(scope="module")
def browser(require: Callable[[object, str], None]) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    require(found, "chromium: apt-get install chromium")
    with sync_playwright() as browsers:
        started = browsers.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The page as it opens; whatever it complains about, or asks of another server, fails the test."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    faults: list[str] = []
    address = f"http://127.0.0.1:{server.port}/"
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("dialog", lambda dialog: faults.append(dialog.message))
    opened.on("request", lambda asked: None if asked.url.startswith((address, "data:")) else faults.append(asked.url))
    opened.on("console", lambda said: faults.append(said.text) if is_fault(said.type, said.text) else None)
    opened.goto(address)
    opened.locator("#token:focus").wait_for()
    yield opened
    opened.close()
    assert not faults


def is_fault(kind: str, text: str) -> bool:
    """Return whether what a browser says is a fault of the page; what the endpoint refuses it reports by itself."""
    return kind in ("error", "warning") and "Failed to load resource" not in text


def admitted(page: Page) -> None:
    page.get_by_label("Token").fill("asks")
    page.keyboard.press("Enter")
    page.get_by_label("Customer", exact=True).wait_for()


def looked_up(page: Page, customer: str = "a") -> None:
    admitted(page)
    page.get_by_label("Customer", exact=True).fill(customer)
    page.get_by_role("button", name="Look up").click()
    page.get_by_role("heading", name=f"Customer {customer}").wait_for()


def said(server: Server, **changed: Any) -> dict[str, Any]:
    """Return what the API answers for the customer `a`."""
    body = json.dumps({"instances": [{"customer_id": "a", **changed}]}).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer asks"}
    asked = urllib.request.Request(f"http://127.0.0.1:{server.port}/invocations", body, headers)
    with urllib.request.urlopen(asked, timeout=10) as answer:
        row: dict[str, Any] = json.load(answer)["predictions"][0]
    return row


def percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def test_a_token_is_asked_for_and_kept_in_memory_alone(page: Page) -> None:
    assert not page.get_by_label("Customer", exact=True).is_visible()
    assert page.evaluate("document.activeElement.id") == "token"
    for wrong, words in (("nobody", "Send a token that exists"), ("tökèn", "copy it once more")):
        page.get_by_label("Token").fill(wrong)
        page.get_by_role("button", name="Use this token").click()
        page.get_by_role("alert").filter(has_text=words).wait_for()
    admitted(page)
    assert not page.get_by_role("alert").is_visible()
    kept = page.evaluate(
        "[document.cookie, localStorage.length, sessionStorage.length, location.href, document.body.innerHTML]"
    )
    assert kept[:3] == ["", 0, 0]
    assert "asks" not in "".join(kept[3:])
    page.reload()
    page.get_by_label("Token").wait_for()


def test_a_customer_is_looked_up_with_score_value_and_reasons(page: Page, server: Server) -> None:
    looked_up(page)
    row = said(server)
    text = page.locator("#result").inner_text()
    for words in (percent(row["probability"]), row["decision"], f"{row['expected_value']:.2f} USD", "200 USD"):
        assert words in text
    waterfall = page.get_by_role("table", name="What each value adds").locator("tbody tr")
    rows = [" | ".join(line.locator("th, td.number").all_inner_texts()) for line in waterfall.all()]
    assert rows[0].startswith("where the model starts | ")
    assert rows[1] == "length of the contract: Month-to-month | ×2.46"
    assert rows[-1] == f"this customer | {percent(row['probability'])}"
    assert page.get_by_role("status").inner_text() == f"Customer a: {percent(row['probability'])} churn, treat."


def test_the_waterfall_goes_from_the_start_to_the_customer_without_a_gap(page: Page) -> None:
    looked_up(page)
    bars = page.evaluate(
        "[...document.querySelectorAll('.track span')].map(bar => [bar.getBoundingClientRect().left,"
        "bar.getBoundingClientRect().right, bar.className])"
    )
    at = (bars[0][0] + bars[0][1]) / 2
    for left, right, kind in bars[1:-1]:
        before, after = (left, right) if kind == "raises" else (right, left)
        assert before == pytest.approx(at, abs=2)
        at = after
    assert (bars[-1][0] + bars[-1][1]) / 2 == pytest.approx(at, abs=2)


def test_what_if_says_what_the_api_says_and_that_it_is_no_effect(page: Page, server: Server) -> None:
    looked_up(page)
    assert page.get_by_text("It is not the effect of changing them").is_visible()
    page.get_by_role("button", name="Score with these values").click()
    page.get_by_role("alert").filter(has_text="Change a value first").wait_for()
    page.get_by_label("length of the contract").select_option("Two year")
    page.get_by_label("monthly charges").fill("30.5")
    page.get_by_role("button", name="Score with these values").click()
    table = page.get_by_role("table", name="now, and with these values")
    table.wait_for()
    now, then = said(server), said(server, contract="Two year", monthly_charges=30.5)
    rows = [" | ".join(line.locator("th, td").all_inner_texts()) for line in table.locator("tbody tr").all()]
    assert rows[0] == f"churn probability | {percent(now['probability'])} | {percent(then['probability'])}"
    assert rows[4:] == ["length of the contract | Month-to-month | Two year", "monthly charges | 50 | 30.5"]
    assert "This is no causal effect" in page.get_by_role("status").inner_text()
    page.get_by_role("button", name="Back to the customer").click()
    assert page.get_by_label("monthly charges").input_value() == "50"
    assert not table.is_visible()


def test_values_that_may_be_missing_can_be_taken_away_and_given(page: Page, server: Server) -> None:
    looked_up(page, "sparse")
    page.get_by_text("Other values").click()
    assert page.get_by_label("charges so far").input_value() == ""
    page.get_by_label("charges so far").fill("480")
    page.get_by_role("button", name="Score with these values").click()
    page.get_by_role("cell", name="not known").wait_for()
    assert percent(said(server)["probability"]) in page.locator("#comparison").inner_text()


def test_an_unknown_customer_old_features_and_a_fault_are_said(page: Page) -> None:
    looked_up(page, "old")
    assert page.get_by_text("These features are old").is_visible()
    for customer, words in (("nobody", "Customer nobody is not online"), ("broken", "under its id")):
        page.get_by_label("Customer", exact=True).fill(customer)
        page.keyboard.press("Enter")
        page.get_by_role("alert").filter(has_text=words).wait_for()
        assert not page.locator("#result").is_visible()
        assert not page.locator("#what-if").is_visible()


def test_an_endpoint_that_went_away_is_said(page: Page) -> None:
    admitted(page)
    page.route("**/invocations", lambda route: route.abort())
    page.get_by_label("Customer", exact=True).fill("a")
    page.keyboard.press("Enter")
    page.get_by_role("alert").filter(has_text="does not answer. Is it still running?").wait_for()


def test_everything_can_be_done_by_keyboard(page: Page) -> None:
    page.locator("#token:focus").wait_for()
    page.keyboard.type("asks")
    page.keyboard.press("Enter")
    page.locator("#customer:focus").wait_for()
    page.keyboard.type("a")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Customer a").wait_for()
    order = []
    for _ in range(8):
        page.keyboard.press("Tab")
        order.append(page.evaluate("(document.activeElement.labels?.[0] ?? document.activeElement).textContent.trim()"))
    assert order[0] == "Look up"
    assert order[2:] == [
        *("length of the contract", "monthly charges", "Other values", "Score with these values"),
        *("Back to the customer's values", order[-1]),
    ]
    page.get_by_label("length of the contract").focus()
    page.keyboard.press("ArrowDown")
    page.get_by_label("monthly charges").focus()
    page.keyboard.press("Enter")
    page.get_by_role("table", name="now, and with these values").wait_for()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_every_field_has_a_label_and_every_part_a_name(page: Page) -> None:
    looked_up(page)
    page.get_by_text("Other values").click()
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, select, button')].filter(node => "
        "!(node.labels?.length || node.textContent.trim())).map(node => node.id)"
    )
    assert unnamed == []
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.get_by_role("region", name="What if").is_visible()
    assert page.get_by_role("status").count() == 1


def test_a_field_that_is_not_filled_in_is_shown(page: Page) -> None:
    looked_up(page)
    page.get_by_text("Other values").click()
    page.get_by_label("months as a customer").fill("")
    page.get_by_text("Other values").click()
    page.get_by_role("button", name="Score with these values").click()
    page.get_by_label("months as a customer").wait_for()
    assert not page.locator("#compared").is_visible()


def test_no_token_is_asked_for_where_none_is_needed(browser: Browser, tmp_path: Path) -> None:
    server = Server(tmp_path / "log", tokens=False)
    opened = browser.new_page()
    opened.goto(f"http://127.0.0.1:{server.port}/")
    opened.get_by_label("Customer", exact=True).fill("a")
    opened.keyboard.press("Enter")
    opened.get_by_role("heading", name="Customer a").wait_for()
    assert not opened.get_by_label("Token").is_visible()
    opened.close()
    server.end()


def test_names_and_values_are_text_and_never_markup(page: Page) -> None:
    looked_up(page, HOSTILE)
    assert "</script><script>alert(2)</script>" in page.locator("#waterfall").inner_text()
    assert page.get_by_label("length of the contract").input_value() == "</script><script>alert(2)</script>"
    assert page.locator("main img, main script").count() == 0


def test_nothing_is_cut_off_unlabelled_or_hard_to_read(page: Page) -> None:
    found = {"token": page.evaluate(AUDIT)}
    looked_up(page)
    page.get_by_text("Other values").click()
    page.get_by_label("monthly charges").fill("30.5")
    page.get_by_role("button", name="Score with these values").click()
    page.get_by_role("table", name="now, and with these values").wait_for()
    for width in (1280, 400):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found[f"{width} {scheme}"] = page.evaluate(AUDIT)
    assert not any(found.values()), found


def test_the_page_may_load_and_ask_its_own_server_alone() -> None:
    case = EndpointCase()
    service = Service(case.endpoint, MODEL, settings().serving, Tokens())
    with TestClient(create_app(service, "1")) as http:  # type: ignore[arg-type]
        for path, kind in (("/", "text/html"), ("/page/style.css", "text/css"), ("/page/page.js", "text/javascript")):
            answer = http.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (200, f"{kind}; charset=utf-8")
            policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
            assert (policy["default-src"], policy["script-src"]) == ("'none'", "'self'")
            assert (policy["style-src"], policy["connect-src"]) == ("'self'", "'self'")
            assert (policy["frame-ancestors"], policy["base-uri"], policy["form-action"]) == ("'none'",) * 3
            assert (answer.headers["x-content-type-options"], answer.headers["x-frame-options"]) == ("nosniff", "DENY")
            assert "://" not in answer.text.replace("http://www.w3.org", "")
        assert http.get("/page/page.py").status_code == 404
