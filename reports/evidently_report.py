"""Evidently's data drift report on a sample; the project's verdicts are those of monitoring."""

from __future__ import annotations

import re

import pandas as pd

__all__ = ["evidently_page"]


def evidently_page(reference: pd.DataFrame, current: pd.DataFrame) -> str:
    """Return Evidently's data drift report as a self-contained page; its import takes seconds.

    Args:
        reference: Rows of the baseline.
        current: Rows of the window, with the same columns.
    """
    from evidently import Report
    from evidently.presets import DataDriftPreset

    snapshot = Report([DataDriftPreset()]).run(current_data=current, reference_data=reference)
    page: str = snapshot.get_html_str(as_iframe=False)
    return re.sub(r"<(link|script)[^>]*(href|src)=.https?://[^>]*>(</script>)?", "", page)  # it is to load nothing
