"""The commands of the endpoint."""

from __future__ import annotations

import argparse
import shlex
import sys

from .context import repeated, session_of

__all__ = ["endpoint_predictions", "endpoint_token", "serve"]


def serve(arguments: argparse.Namespace) -> int:
    """Answer requests over HTTP until the user ends it."""
    from adapters import wiring
    from serving.server import ServeOptions
    from serving.server import serve as answer

    session = session_of(arguments)
    wiring.activate(session.profile)
    options = ServeOptions(
        contract=session.contract,
        settings=session.settings,
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        authenticated=not arguments.no_auth,
        certificate=arguments.tls_cert,
        key=arguments.tls_key,
    )
    name = session.settings.registered_name(session.contract)
    scheme = "http" if arguments.tls_cert is None else "https"
    address = f"{scheme}://{arguments.host}:{arguments.port}"
    if options.authenticated and not wiring.tokens_of(session.contract).tokens():
        print(
            f"Nobody has a token yet: python run.py endpoint token create --name me{repeated(arguments)}",
            file=sys.stderr,
        )

    def announce() -> None:
        print(f"{name} answers at {address}/serving-endpoints/{name}/invocations, until Ctrl-C.", flush=True)
        print(f"A page for people: {address}/, its protocol: {address}/openapi.json", flush=True)

    answer(options, announce)
    return 0


def endpoint_token(arguments: argparse.Namespace) -> int:
    """Create, list or revoke the tokens of the endpoint."""
    from adapters import wiring

    session = session_of(arguments)
    wiring.activate(session.profile)
    tokens = wiring.tokens_of(session.contract)
    if arguments.what == "create":
        text = tokens.create(arguments.name or "", arguments.scope, wiring.now())
        print(text)
        revoke = f"python run.py endpoint token revoke --name {shlex.quote(arguments.name)}{repeated(arguments)}"
        print(f"Keep it: it is shown once. Revoke it: {revoke}", file=sys.stderr)  # so that $(…) takes the token alone
    elif arguments.what == "revoke":
        tokens.revoke(arguments.name or "")
        print(f"{arguments.name!r} is refused from now on.")
    else:
        for token in tokens.tokens():
            print(f"{token.name}  {token.scope}  since {token.created_at:%Y-%m-%d %H:%M} UTC")
    return 0


def endpoint_predictions(arguments: argparse.Namespace) -> int:
    """Say how many answers wait for their move into the table of predictions, or move them."""
    session = session_of(arguments)
    log, table = session.workspace.prediction_log, session.contract.table("predictions").name
    if arguments.what == "move":
        print(f"{log.move():,} rows moved to {table}.")
    counts = log.counts()
    waiting = f"{counts.waiting:,} rows wait ({counts.size / 1e6:,.1f} MB)"
    print(f"{waiting}; {counts.dropped:,} were answered and not logged since the log began.")
    if counts.waiting:
        print(f"Move them to {table}: python run.py endpoint predictions move{repeated(arguments)}")
    return 0
