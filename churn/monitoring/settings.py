"""What monitoring looks at, and from which difference on somebody should look; docs/monitoring.md argues the values."""

from __future__ import annotations

import datetime as dt
from typing import Literal, Self

from pydantic import Field, model_validator

from ..core.frozen import Finite, Frozen
from ..ports.windows import Clock, Length

__all__ = ["AlertSettings", "MonitoringSettings", "RetrainingSettings", "Thresholds"]


class Thresholds(Finite):
    """How large a difference must be to count, however significant it is."""

    psi: float = Field(default=0.1, gt=0, description="Population stability index of a feature or of the predictions.")
    missing: float = Field(default=0.05, gt=0, lt=1, description="Rise of the share of missing values.")
    unseen: float = Field(default=0.005, gt=0, lt=1, description="Share of values that the baseline does not have.")
    scale: float = Field(default=0.05, gt=0, lt=1, description="A number that has become so much larger or smaller.")
    roc_auc: float = Field(default=0.02, gt=0, lt=0.5, description="Loss of ROC AUC.")
    calibration_slope: float = Field(default=0.1, gt=0, lt=1, description="Fall of the calibration slope.")
    churn_share: float = Field(
        default=0.1, gt=0, lt=1, description="Churn above or below what is predicted, as a share of it."
    )
    profit_share: float = Field(default=0.05, gt=0, lt=1, description="Loss, as a share of the baseline's profit.")
    treated: float = Field(
        default=0.05, gt=0, lt=1, description="Share of outcomes left out that no control group stands for."
    )


class RetrainingSettings(Frozen):
    """When retraining is called for, and whether it starts by itself."""

    mode: Literal["propose", "start"] = Field(
        default="propose",
        description="propose: monitoring says so; start: `--pipeline monitoring` goes on with `--pipeline retraining`.",
    )
    bad_windows: int = Field(default=2, ge=1, description="So many of the last `of_windows` must show a loss.")
    of_windows: int = Field(default=3, ge=1, description="The windows that are looked at.")
    cool_down_days: int = Field(default=30, ge=0, description="Days after a training in which no other is recommended.")
    min_new_outcomes: int = Field(default=500, ge=0, description="Outcomes that the live version has not seen.")
    alone_days: int = Field(
        default=21, ge=1, description="Where windows lie so many days apart, one with a loss is enough."
    )

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.bad_windows > self.of_windows:
            raise ValueError(
                f"`bad_windows` {self.bad_windows} is more than `of_windows` {self.of_windows}: no retraining would "
                "ever be recommended"
            )
        return self


class AlertSettings(Frozen):
    """Where alerts go, beside the file; passwords and secret addresses are in environment variables."""

    webhook_variable: str | None = Field(
        default=None,
        description="The environment variable with the URL that gets each alert as JSON; null: no webhook.",
    )
    token_variable: str | None = Field(
        default=None, description="The environment variable with the bearer token of the webhook; null: none."
    )
    mail_to: tuple[str, ...] = Field(default=(), description="Addresses that get each alert; none: no mail.")
    mail_from: str = Field(default="churn@localhost", description="The sender of mails.")
    mail_host: str = Field(default="localhost", description="The SMTP server.")
    mail_port: int = Field(default=587, ge=1, le=65_535, description="Its port.")
    mail_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the connection is encrypted; none is for a server on this machine."
    )
    mail_user: str | None = Field(default=None, description="The user at the SMTP server; null: no login.")
    mail_password_variable: str = Field(
        default="CHURN_SMTP_PASSWORD", description="The environment variable with that user's password."
    )
    timeout_seconds: float = Field(default=10.0, gt=0, le=300, description="How long a channel may take.")

    @model_validator(mode="after")
    def _hides_the_password(self) -> Self:
        if self.mail_user is not None and self.mail_security == "none":
            raise ValueError(
                "`mail_user` is set and `mail_security` is none: the password would be readable on the network; use "
                "starttls or tls, or leave the user out"
            )
        return self


class MonitoringSettings(Frozen):
    """Which windows are measured, and how they are judged."""

    windows: tuple[Length, ...] = Field(
        default=("day", "week", "month"), min_length=1, description="Lengths of the windows that are measured, in UTC."
    )
    clocks: tuple[Clock, ...] = Field(
        default=("event", "scoring"), min_length=1, description="By which times: of the event, of the scoring."
    )
    judged: Length = Field(default="day", description="The length, by event time, that alarms and advice go by.")
    bins: int = Field(default=100, ge=10, le=1000, description="Bins of equally many baseline rows for a number.")
    texts: int = Field(default=50, ge=1, le=1000, description="Values of a category that are counted one by one.")
    min_rows: int = Field(default=200, ge=1, description="A window with fewer rows is measured and not judged.")
    min_outcomes: int = Field(default=30, ge=1, description="Known outcomes of either kind that a judgement needs.")
    alpha: float = Field(
        default=0.002, gt=0, lt=0.5, description="Chance of a false alarm in a window, over all its tests together."
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Coverage of the intervals of estimates.")
    late_share: float = Field(
        default=0.1, gt=0, lt=1, description="Share of due outcomes that are missing from which labels count as late."
    )
    evidently_sample: int = Field(
        default=0, ge=0, le=100_000, description="Rows a side that Evidently's report is drawn of; 0: no such report."
    )
    real_changes: dict[str, dt.date] = Field(
        default_factory=dict,
        description="Columns whose values changed in truth on a day, such as {price: 2026-03-01} for a price rise: no "
        "broken feed since.",
    )
    thresholds: Thresholds = Thresholds()
    retraining: RetrainingSettings = RetrainingSettings()

    @model_validator(mode="after")
    def _judged_is_measured(self) -> Self:
        if self.judged not in self.windows or "event" not in self.clocks:
            raise ValueError(
                f"alarms go by `judged` windows ({self.judged}) of event time, which must be measured: add it to "
                "`windows`, and `event` to `clocks`"
            )
        return self
