"""Everything that a decision about one registered model needs, and the writing of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ..core.errors import ConfigError, StoreError
from ..ports.ledger import Decision, DecisionLedger, Entry, Kind, Verdict, breaks
from ..ports.registry import ModelRegistry
from ..ports.stages import StageMirror
from .settings import ApprovalSettings
from .situation import Situation
from .tags import mirrored

__all__ = ["Governance", "person", "reason"]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Governance:
    """The places and the rules by which versions of one model go live.

    Attributes:
        registry: Where the versions and their aliases are.
        ledger: The record of decisions, which counts where the registry says otherwise.
        stages: What the model control plane shows.
        model: The registered model.
        settings: Who approves, and for how long that holds.
        clock: Tells the time, in UTC.
    """

    registry: ModelRegistry
    ledger: DecisionLedger
    stages: StageMirror
    model: str
    settings: ApprovalSettings
    clock: Callable[[], dt.datetime] = _now

    def look(self) -> Situation:
        """Read the ledger and the registry.

        Raises:
            StoreError: one of them does not answer, or the chain of the ledger does not hold.
        """
        records = self.ledger.read()
        if broken := next(breaks(records), None):
            raise StoreError(
                f"The ledger cannot be trusted, so that nothing is decided: {broken} `python run.py audit` names every "
                "such place. Restore the table `decisions` to its last good version, or move it away to begin anew."
            )
        return self.beside(records)

    def beside(self, records: list[Decision]) -> Situation:
        """Return what the registry says now beside these records."""
        versions = {version.version: version for version in self.registry.versions(self.model)}
        return Situation(self.model, tuple(records), versions)

    def write(
        self,
        situation: Situation,
        kind: Kind,
        version: int,
        *,
        who: str,
        why: str,
        champion: int | None,
        digests: Mapping[str, str],
        numbers: Mapping[str, float] | None = None,
        verdicts: Mapping[str, Verdict] | None = None,
    ) -> Situation:
        """Append a record to the ledger as the situation shows it, and return the situation with it.

        Raises:
            WriteConflict: the ledger has gone on since.
            StoreError: the ledger refuses; nothing was written.
        """
        entry = Entry(
            kind=kind,
            model=self.model,
            version=version,
            champion=champion,
            at=self.clock(),
            who=who,
            why=why,
            numbers=dict(numbers or {}),
            verdicts=dict(verdicts or {}),
            digests=dict(digests),
        )
        last = situation.ledger[-1].hash if situation.ledger else ""
        return replace(situation, ledger=(*situation.ledger, self.ledger.append(entry, after=last)))

    def tag(self, situation: Situation, *versions: int | None) -> None:
        """Let the tags of versions say what the ledger says of them; those that are gone have none."""
        for number in versions:
            if number is not None and number in situation.versions:
                there = situation.versions[number].tags
                wanted = {name: tag for name, tag in mirrored(situation, number).items() if there.get(name) != tag}
                if wanted:
                    self.registry.set_tags(self.model, number, wanted)


def person(name: str) -> str:
    """Return the name of a person who decides.

    Raises:
        ConfigError: it is empty, no text, or one that the policies sign with.
    """
    cleaned = _words(name)
    if not cleaned:
        raise ConfigError("A decision needs the name of a person: give it with --as NAME.")
    if cleaned.lower().startswith("policy:"):
        raise ConfigError(f"{cleaned!r} is how the settings sign their decisions: give the name of a person with --as.")
    return cleaned


def reason(text: str) -> str:
    """Return the reason of a decision.

    Raises:
        ConfigError: it is empty or no text.
    """
    cleaned = _words(text)
    if not cleaned:
        raise ConfigError('A decision needs a reason that others can read later: give it with --reason "…".')
    return cleaned


def _words(text: str) -> str:
    """Return the text on one line; what a terminal would take for a command is left out."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{text!r} is not valid text: type it in UTF-8.") from error
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
