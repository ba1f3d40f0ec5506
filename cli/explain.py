"""`run.py explain`: the prediction for one customer, its reasons, and what would change it."""

from __future__ import annotations

import argparse
import hashlib
import re

from .console import plain_console
from .context import session_of, writable
from .output import print_json, wants_json

__all__ = ["explain", "file_name"]


def explain(arguments: argparse.Namespace) -> int:
    """Print the prediction for a customer with its reasons, and write its page."""
    from churn.lifecycle.inference import require_champion

    session = session_of(arguments)
    require_champion(session.workspace, session.settings)  # before the slow imports of the explanation
    from churn.lifecycle.explain import explain_customer
    from reports.customer_report import customer_lines, customer_page

    explanation = explain_customer(session.workspace, session.settings, arguments.customer)
    path = arguments.out or session.profile.state / "explanations" / f"{file_name(explanation.customer)}.html"
    writable(path).write_text(customer_page(explanation), encoding="utf-8")
    if wants_json(arguments):
        print_json({**explanation.model_dump(mode="json"), "page": path, "exit": 0})
        return 0
    console = plain_console()
    for line in [*customer_lines(explanation), f"Page     {path}"]:
        console.print(line)
    return 0


def file_name(customer: str) -> str:
    """Return a name for a file, unique for each customer, that shows the customer's id as far as a file name can."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", customer).lstrip(".")[:60]
    digest = hashlib.sha256(customer.encode()).hexdigest()[:8]
    return customer if plain and plain == customer else f"{plain or 'customer'}-{digest}"
