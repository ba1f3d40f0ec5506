"""How a deployment run ended: what is live now, and what it takes to go on."""

from __future__ import annotations

from functools import partial
from typing import Literal

from pydantic import Field

from ..approval.governance import Governance
from ..approval.promotion import promote
from ..approval.standing import Standing
from ..core.frozen import Frozen

__all__ = ["Deployment", "deploy"]


class Deployment(Frozen):
    """What a deployment run came to."""

    model: str
    version: int = Field(description="The version that was to go live.")
    champion: int | None = Field(description="The version that is live now.")
    previous: int | None = Field(default=None, description="The version that was live before this run changed it.")
    state: Literal["promoted", "unchanged", "waiting", "refused"]
    sentence: str
    notes: tuple[str, ...] = ()


def deploy(governance: Governance, found: Standing, *, who: str) -> Deployment:
    """Promote the version if it is approved, and say what happened otherwise.

    Args:
        governance: Where and how decisions about the model are made.
        found: What `decide` or `standing` said about the version.
        who: In whose name.

    Raises:
        DecisionRefused: the ledger no longer says what `found` says.
        StoreError: the registry or the ledger does not answer; the next run ends what was begun.
    """
    name = f"{found.model} version {found.version}"
    ended = partial(Deployment, model=found.model, version=found.version)
    if found.state != "approved":
        champion = governance.look().champion
        state: Literal["waiting", "refused"] = "waiting" if found.state == "pending" else "refused"
        live = None if champion is None else champion.version
        return ended(champion=live, state=state, sentence=f"{name} is not promoted. {found.why}")
    change = promote(governance, found.version, who=who)
    before = "" if change.previous is None else f", version {change.previous} is @PreviousChampion"
    return ended(
        champion=change.version,
        previous=None if change.unchanged else change.previous,
        state="unchanged" if change.unchanged else "promoted",
        sentence=f"{name} is @Champion already: nothing to do."
        if change.unchanged
        else f"{name} is @Champion{before}.",
        notes=change.notes,
    )
