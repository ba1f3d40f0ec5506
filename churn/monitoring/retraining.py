"""Whether to train anew: a loss that persists, time since the last training, and outcomes that are new."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from ..core.wording import counted, moment
from .report import Advice, Diagnosis
from .settings import RetrainingSettings
from .triage import has_loss

__all__ = ["advise"]


def advise(
    history: Sequence[tuple[Diagnosis, ...]],
    *,
    is_of_before: bool = False,
    is_broken: bool = False,
    trained_at: dt.datetime | None,
    new_outcomes: int,
    days_apart: float | None = None,
    now: dt.datetime,
    settings: RetrainingSettings,
) -> Advice:
    """Return whether training on newer rows is called for.

    A broken feed always speaks against it: a model would learn from rows that are wrong.

    Args:
        history: What the judged windows of the live version show, the oldest first; those whose loss is not known
            yet, because no outcome is known, left out.
        is_of_before: Whether these are windows of the versions before whose outcomes became known since the last
            training, because no outcome of the live version's predictions is known yet. A loss in them is of behaviour
            that the live version has seen little of; as it may do well all the same, the cool-down is twice as long.
        is_broken: Whether the newest window of all comes from a broken feed.
        trained_at: When a model was trained last, whatever became of it; None where nobody knows.
        new_outcomes: Outcomes that became known since then.
        days_apart: How many days the windows lie apart, as a rule; None where there are too few to tell.
        now: The time.
        settings: What is asked for.
    """
    recent = list(history)[-settings.of_windows :]
    needed = 1 if days_apart is not None and days_apart >= settings.alone_days else settings.bad_windows
    bad = sum(map(has_loss, recent))
    verb = "shows" if bad == 1 else "show"
    shown = f"{bad} of the last {counted(len(recent), 'window')} {verb} a loss"
    if len(recent) == 1:
        shown = "the only window that can be judged shows a loss"
    if is_of_before:
        shown += " of the version before"
    cool_down = dt.timedelta(days=settings.cool_down_days * (1 + is_of_before))
    if is_broken:
        return Advice(state="broken_feed", sentence="Do not retrain: the newest window comes from a broken feed.")
    if not bad:
        return Advice(state="no_reason", sentence="No reason to retrain: no window that was judged shows a loss.")
    state, reason = None, ""
    if bad < needed:
        state, reason = "not_persistent", f"and monitoring.retraining asks for {needed} of {settings.of_windows}"
    elif trained_at is not None and now - trained_at < cool_down:
        until = moment(trained_at + cool_down)
        state, reason = "cooling_down", f"and the last training was at {moment(trained_at)}: wait until {until}"
    elif new_outcomes < settings.min_new_outcomes:
        arrived = f"{counted(new_outcomes, 'outcome')} became known since the last training"
        state, reason = "too_few_outcomes", f"but {arrived}, and {settings.min_new_outcomes:,} are needed"
    if state is not None:
        sentence = f"Do not retrain yet: {shown}, {reason}."
        return Advice.model_validate({"state": state, "sentence": sentence, "new_outcomes": new_outcomes})
    return Advice(
        state="retrain",
        sentence=(
            f"Retrain: {shown}, and {new_outcomes:,} outcomes are new. The gate decides whether the new model is "
            "better."
        ),
        new_outcomes=new_outcomes,
    )
