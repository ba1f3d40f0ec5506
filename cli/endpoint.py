"""The commands of the endpoint."""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import TYPE_CHECKING

from churn.core.program import as_typed
from churn.core.wording import moment

from .context import Session, repeated, session_of
from .durations import in_words
from .output import print_json, wants_json

if TYPE_CHECKING:
    from churn.lifecycle.serve_options import ServeOptions
    from churn.ports.endpoint import EndpointHost, EndpointState

__all__ = ["endpoint_logs", "endpoint_predictions", "endpoint_status", "endpoint_stop", "endpoint_token", "serve"]

_DRAIN_SECONDS = 40
_UPDATES = {"none": "", "in_progress": ", another one is being loaded", "failed": ", another one cannot be loaded"}


def serve(arguments: argparse.Namespace) -> int:
    """Answer requests over HTTP until the user ends it, or in the background; on Databricks, on Model Serving."""
    from adapters import wiring
    from serving.server import serve as answer

    session = session_of(arguments)
    wiring.activate(session.profile)
    options = _options(session, arguments)
    name = session.settings.registered_name(session.contract)
    if not session.workspace.endpoint(options).follows_ledger:
        state = _in_the_background(session, options)
        print(f"{state.name} answers with version {state.version} at {state.address}.")
        print(f"Its page: {state.log}")
        return 0
    if options.authenticated and not wiring.tokens_of(session.contract).tokens():
        print(
            f"Nobody has a token yet: python run.py endpoint token create --name me{repeated(arguments)}",
            file=sys.stderr,
        )

    def announce(address: str, until: str = "until Ctrl-C") -> None:
        print(f"{name} answers at {address}/serving-endpoints/{name}/invocations, {until}.", flush=True)
        print(f"A page for people: {address}/, its protocol: {address}/openapi.json", flush=True)

    if arguments.detach:
        already = session.workspace.endpoint(options).state()
        state = already or _in_the_background(session, options)
        announce(state.address, f"in the background{'' if already is None else ' already'}")
        print(as_typed(f"End it: python run.py endpoint stop{repeated(arguments)}"))
    else:
        answer(options, announce)
    return 0


def _options(session: Session, arguments: argparse.Namespace) -> ServeOptions:
    from churn.lifecycle.serve_options import ServeOptions

    return ServeOptions(
        contract=session.contract,
        settings=session.settings,
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        authenticated=not arguments.no_auth,
        certificate=arguments.tls_cert,
        key=arguments.tls_key,
    )


def _in_the_background(session: Session, options: ServeOptions) -> EndpointState:
    """Start the endpoint, and return when it answers."""
    from churn.lifecycle.inference import champion_of

    workspace, settings = session.workspace, session.settings
    champion = champion_of(workspace.approval(settings.approval).read().champion, workspace.model)
    return workspace.endpoint(options).ensure(champion.version, within=settings.serving.update_seconds)


def _host(arguments: argparse.Namespace) -> EndpointHost:
    from churn.lifecycle.serve_options import ServeOptions

    session = session_of(arguments)
    return session.workspace.endpoint(ServeOptions(contract=session.contract, settings=session.settings))


def endpoint_status(arguments: argparse.Namespace) -> int:
    """Print how the endpoint does; the exit code is 0 if it answers and everything works, else 2."""
    state = _host(arguments).state()
    code = 0 if state is not None and state.ready and not state.degraded else 2
    if wants_json(arguments):
        print_json({"running": state is not None, **(state.model_dump() if state else {}), "exit": code})
    elif state is None:
        print(
            as_typed(
                f"No endpoint of {session_of(arguments).contract.name} runs: python run.py serve{repeated(arguments)}"
            )
        )
    else:
        _print(state)
    return code


def _print(state: EndpointState) -> None:
    from adapters import wiring

    if not state.ready:
        print(f"{state.name} runs, and is not ready")
    else:
        works = "with trouble" if state.degraded else "and everything works"
        print(f"{state.name} version {state.version} answers, {works}{_UPDATES[state.update]}")
    for trouble in state.degraded:
        print(f"  ! {trouble}")
    print(f"Address   {state.address}")
    if state.since is not None:
        up = in_words((wiring.now() - state.since).total_seconds())
        print(f"Since     {moment(state.since)} ({up}); processes: {state.workers}, pid {state.pid}")
    if state.requests is not None:
        print(f"Requests  {state.requests:,}")
    print(f"Log       {state.log}")


def endpoint_logs(arguments: argparse.Namespace) -> int:
    """Print the end of the log of the endpoint that runs, or of the last one that did."""
    for line in _host(arguments).logs(arguments.lines, follow=arguments.follow):
        print(line, flush=True)
    return 0


def endpoint_stop(arguments: argparse.Namespace) -> int:
    """End the endpoint after the requests that are under way."""
    name = session_of(arguments).contract.name
    if _host(arguments).stop(within=_DRAIN_SECONDS):
        print(f"The endpoint of {name} has answered what was under way, and ended.")
    else:
        print(f"No endpoint of {name} runs.")
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
        print(as_typed(f"Move them to {table}: python run.py endpoint predictions move{repeated(arguments)}"))
    return 0
