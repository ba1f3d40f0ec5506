"""The outcome of an unknown table: its column, and which of its values means that a customer left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..core.errors import ContractError
from .sample import SampledColumn
from .words import LEFT, STAYED, likeness_to_outcome, polarity, said_yes

__all__ = ["outcome_of", "sides_of"]

MAX_VALUES = 6
"""A column with more values than these is no outcome, whatever it is called."""


def outcome_of(columns: Mapping[str, SampledColumn]) -> tuple[SampledColumn, str | None]:
    """Return the column with two values that is called like an outcome, or whose values are, and what is doubtful.

    Raises:
        ContractError: there is none, or a column with another number of values looks more like it.
    """
    likely = {column.name: _likeness(column) for column in columns.values()}
    candidates = [column for column in columns.values() if likely[column.name]]
    binary = [column for column in candidates if column.distinct == 2]
    best = max(binary, key=lambda column: likely[column.name], default=None)
    others = [column for column in candidates if column.distinct != 2]
    if best is None:
        raise ContractError(_none_found(columns.values(), others))
    better = [column for column in others if likely[column.name] > likely[best.name]]
    if better:
        raise ContractError(
            f"{_with_values(better)} looks like the outcome, which must have two values, left and stayed. {_REMEDY} "
            f"Of those with two values, {best.source!r} looks most like it."
        )
    also = [column.source for column in candidates if column is not best and column.distinct > 1]
    doubt = f"these look like an outcome too, --label COLUMN names another: {', '.join(also)}." if also else None
    return best, doubt


_REMEDY = (
    "Make a column of two values of it (or keep the rows of two of them, and leave unknown ones blank), or name "
    "another column with --label COLUMN."
)


def _none_found(columns: Iterable[SampledColumn], others: list[SampledColumn]) -> str:
    if others:
        start = f"{_with_values(others)} looks like the outcome, which must have two values, left and stayed. {_REMEDY}"
    else:
        start = (
            "No column with two values is called or filled like an outcome (churn, cancelled, exited, left): name it "
            "with --label COLUMN."
        )
    listed = ", ".join(column.source for column in columns if column.distinct == 2 and column.content != "time")
    return f"{start} Columns with two values: {listed or 'none'}."


def _with_values(columns: list[SampledColumn]) -> str:
    return "; ".join(f"{column.source!r} ({_values(column)})" for column in columns)


def _values(column: SampledColumn) -> str:
    if not column.distinct:
        return "no values"
    counts = column.text.value_counts()
    shown = ", ".join(f"{value!r} {n:,} times" for value, n in counts.head(MAX_VALUES).items())
    shown += f" and {len(counts) - MAX_VALUES:,} others" if len(counts) > MAX_VALUES else ""
    missing = f", {column.missing:,} missing" if column.missing else ""
    return f"{'one value' if column.distinct == 1 else f'{column.distinct} values'}: {shown}{missing}"


def _likeness(column: SampledColumn) -> int:
    if column.content not in ("categorical", "integer", "number") or column.distinct > MAX_VALUES:
        return 0
    polarities = {polarity(value) for value in column.different}
    by_values = 4 if {LEFT, STAYED} <= polarities else 2 if LEFT in polarities and len(polarities) > 1 else 0
    by_name = likeness_to_outcome(column.source)
    return by_name + by_values if by_values or column.distinct == 2 or by_name >= 6 else 0


def sides_of(outcome: SampledColumn) -> tuple[str, str, str | None]:
    """Return the value of the customers who left, that of those who stayed, and what is doubtful about that.

    A value is never taken against its word: of `Churned` and `Not churned` the second stayed; 1 in `retained` stayed.

    Raises:
        ContractError: there are not two values.
    """
    values = outcome.different
    if len(values) != 2:
        raise ContractError(
            f"The outcome {outcome.source!r} must have two values, left and stayed; it has {_values(outcome)}. "
            f"{_REMEDY}"
        )
    by_word = {value: polarity(value) for value in values}
    if by_word[values[0]] != by_word[values[1]]:
        positive, negative = sorted(values, key=lambda value: -by_word[value])
        worded = positive if by_word[positive] == LEFT else negative
        if 0 in by_word.values() and by_word[worded] == STAYED:
            return positive, negative, f"{negative!r} says that a customer stayed, so {positive!r} was taken as left."
        return positive, negative, None
    if {said_yes(value) for value in values} == {True, False}:
        return _of_yes_and_no(outcome)
    positive, negative = map(str, outcome.text.value_counts().index[::-1])
    return positive, negative, f"neither {values[0]!r} nor {values[1]!r} says who left; the rarer one was taken."


def _of_yes_and_no(outcome: SampledColumn) -> tuple[str, str, str | None]:
    yes, no = sorted(outcome.different, key=lambda value: not said_yes(value))
    side = polarity(outcome.source)
    if side == STAYED:
        return no, yes, f"the name {outcome.source!r} says that {yes!r} stayed, so {no!r} was taken as left."
    if side == LEFT:
        return yes, no, None
    return yes, no, f"the name {outcome.source!r} does not say whether {yes!r} left or stayed; left was taken."
