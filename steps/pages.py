"""Where a run leaves its self-contained page: the summary on the screen names the same file."""

from __future__ import annotations

from zenml import get_step_context

from churn.settings import Profile

__all__ = ["write_page"]


def write_page(profile: Profile, page: str) -> None:
    """Write the page of the pipeline run that this step belongs to."""
    path = profile.report_of(get_step_context().pipeline_run.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
