"""Logs each answer of the endpoint."""

from __future__ import annotations

import json

from ..core.errors import ConfigError, nearest
from ..ports.prediction_log import LoggedRow, PredictionRole, PredictionWriter
from ..ports.registry import CHALLENGER, CHAMPION
from ..scoring.answers import Answer
from ..scoring.policy import policy_of
from ..scoring.settings import LogSettings
from .endpoint import Answers
from .workspace import Workspace

__all__ = ["AnswerLog"]


class AnswerLog:
    """Logs the answers of one process as `serving.log` says.

    Attributes:
        writer: What keeps them.
    """

    def __init__(self, workspace: Workspace, settings: LogSettings) -> None:
        """Write nothing yet.

        Raises:
            ConfigError: `serving.log.columns` names one that no model of the data set reads.
        """
        contract, columns = workspace.contract, settings.columns
        readable = [*contract.kinds, *(spec.name for spec in contract.features)]
        if not isinstance(columns, str) and (unknown := sorted({*columns} - {*readable})):
            raise ConfigError(
                f"`serving.log.columns` names {unknown[0]!r}, which is no column of {contract.name!r} that a model "
                f"reads{nearest(unknown[0], readable) or '.'} Write none, inputs, or a list of such columns."
            )
        self._columns, self._clock = columns, workspace.clock
        self._policies: dict[int, str] = {}
        self.writer: PredictionWriter = workspace.prediction_log.writer(
            max_bytes=int(settings.max_megabytes * 1e6),
            when_full=settings.when_full,
            synced=settings.sync_seconds == 0,
        )

    def log(self, answers: Answers, request_id: str, *, role: PredictionRole = "answered") -> bool:
        """Log the answers to one request, and return whether they are logged.

        A row that a version on trial could not score is logged twice: as the champion answered it, and as failed.

        Args:
            answers: What is said of each row.
            request_id: The id of the request.
            role: The role of the answer: answered, shadow or what_if.

        Raises:
            StoreError: they cannot be logged, and `serving.log.when_full` is `refuse`.
        """
        return self.writer.append(self.rows(answers, request_id, role=role))

    def rows(self, answers: Answers, request_id: str, *, role: PredictionRole) -> list[LoggedRow]:
        """Return the rows that `log` writes."""
        entries = [(answer, answers.by(number)) for number, answer in enumerate(answers.rows)]
        if answers.challenger is not None:
            failed = [answers.rows[number] for number in answers.failed]
            entries += [
                (answer._replace(status="failed", score=None, score_ms=None), answers.challenger) for answer in failed
            ]
        now, rows = self._clock(), []
        for answer, served in entries:
            score, (name, version, model) = answer.score, served
            if version not in self._policies:
                self._policies[version] = policy_of(model.scoring)
            row = LoggedRow(
                customer=answer.customer or "",
                event_time=answer.features_at or now,
                scored_at=now,
                request_id=request_id,
                role=role,
                status=answer.status,
                probability=score.probability if score else None,
                decision=score.decision if score else None,
                expected_value=score.expected_value if score else None,
                customer_value=score.customer_value if score else None,
                reasons=score.reasons if score else (),
                model_name=name,
                model_version=version,
                model_alias=CHAMPION if role != "shadow" and served is answers.served else CHALLENGER,
                threshold_policy=self._policies[version],
                features_version=answer.features_version,
                inputs=self._inputs(answer),
                score_ms=answer.score_ms,
            )
            rows.append(row)
        return rows

    def _inputs(self, answer: Answer) -> str | None:
        values = answer.values
        if self._columns == "none" or values is None:
            return None
        names = values if self._columns == "inputs" else [name for name in self._columns if name in values]
        return json.dumps({name: values[name] for name in names}, ensure_ascii=False)
