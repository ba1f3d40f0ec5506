"""The commands of features: publish and check the online store, create SQL functions."""

from __future__ import annotations

import argparse

from .context import repeated, session_of

__all__ = ["features_check", "features_function", "features_publish"]


def features_publish(arguments: argparse.Namespace) -> int:
    """Bring the online store up to date with the feature table, and compare a sample."""
    from churn.lifecycle.serving import publish_features

    session = session_of(arguments)
    session.profile.check_online_store()
    published = publish_features(session.workspace, session.settings, full=arguments.full)
    features, parity = published.features, published.parity
    done = f"{published.written:,} customers written, {published.removed:,} removed"
    print(f"{features.name} version {features.version}, as of {published.as_of:%Y-%m-%d %H:%M} UTC: {done}.")
    print(f"{parity.online:,} customers are online; {parity.compared:,} were compared and agree.")
    return 0


def features_check(arguments: argparse.Namespace) -> int:
    """Compare the online store with the feature table; a difference is an error that names the customers."""
    from churn.lifecycle.serving import check_features

    session = session_of(arguments)
    session.profile.check_online_store()
    parity = check_features(session.workspace, session.settings)
    parity.require()
    print(
        f"{parity.online:,} customers are online, as in {parity.features.name} version {parity.features.version}; "
        f"{parity.compared:,} were compared and agree."
    )
    if parity.compared < parity.customers:
        every = f"python run.py features check{repeated(arguments)} --set serving.parity_sample={parity.customers}"
        print(f"Compare all of them: {every}")
    return 0


def features_function(arguments: argparse.Namespace) -> int:
    """Create the features on demand as functions in Unity Catalog, or print the statements that would."""
    from adapters.platform import feature_functions

    session = session_of(arguments)
    create = arguments.what == "create"
    for name, sql in feature_functions(session.profile, session.contract, create=create).items():
        print(f"{name} is created." if create else f"{sql};")
    return 0
