"""The acting user as the workspace authenticates it; no environment variable can override it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from churn.core.errors import StoreError

from .workspace import explained

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

__all__ = ["acting_user"]


def acting_user(client: WorkspaceClient) -> str:
    """Return the user name of a person, or the application id of a service principal.

    Raises:
        StoreError: the workspace does not say.
    """
    with explained("say who you are"):
        name = client.current_user.me().user_name
    if not name:
        raise StoreError("The workspace knows you by no name: log in as a person or a service principal.")
    return name
