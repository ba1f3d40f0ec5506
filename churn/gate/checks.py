"""One question that a challenger is asked, with its answer; what cannot be answered is answered by no."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from pydantic import Field

from ..core.frozen import Finite
from ..ports.ledger import Verdict

__all__ = ["Check", "answer", "unanswered"]


class Check(Finite):
    """A check of the gate: one number against one bar, and what that means in one sentence."""

    name: str = Field(pattern="^[a-z0-9_]+$", description="The version's tag is `gate.<name>`.")
    verdict: Verdict
    value: float | str | None = Field(default=None, description="What was found.")
    threshold: float | str | None = Field(default=None, description="What it was held against.")
    sentence: str = Field(description="What it means, for a reader who decides and does not compute.")

    @classmethod
    def of(
        cls, name: str, passed: bool, *, value: float | str | None, threshold: float | str | None, yes: str, no: str
    ) -> Self:
        """Return the check with the sentence of its answer, `yes` or `no`."""
        verdict: Verdict = "pass" if passed else "fail"
        return cls(name=name, verdict=verdict, value=value, threshold=threshold, sentence=yes if passed else no)

    @property
    def passed(self) -> bool:
        """Whether the answer is yes."""
        return self.verdict == "pass"


def answer(name: str, ask: Callable[[], Check]) -> Check:
    """Return what `ask` answers; whatever it raises is an error, and an error refuses the challenger."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - an open question must never let a model through
        return unanswered(name, error)


def unanswered(name: str, error: Exception) -> Check:
    """Return the check that could not be answered because of `error`."""
    reason = str(error) or type(error).__name__
    return Check(name=name, verdict="error", sentence=f"Could not be answered, so the answer is no: {reason}")
