"""Secret scopes: names are shown to everybody, values to those who ask for one."""

from __future__ import annotations

import base64
import itertools
from typing import TYPE_CHECKING, Any

from databricks.sdk.service.workspace import SecretsAPI

from .http import Request, refusal
from .strict import check

if TYPE_CHECKING:
    from .workspace import Workspace

__all__ = ["SecretScopes"]

_SECRETS = "/api/2.0/secrets"


class SecretScopes:
    """`values` by scope and key, each with the time of its last change in milliseconds; `readers` by scope."""

    def __init__(self, workspace: Workspace) -> None:
        self.values: dict[str, dict[str, tuple[str, int]]] = {}
        self.readers: dict[str, dict[str, str]] = {}
        self._clock = itertools.count(1_760_000_000_000, 1000)
        add = workspace.routes.add
        add(f"GET {_SECRETS}/scopes/list", lambda _: {"scopes": [{"name": name} for name in self.values]})
        add(f"POST {_SECRETS}/scopes/create", self._create)
        add(f"POST {_SECRETS}/scopes/delete", lambda request: self.values.pop(self._scope(request.json)) and None)
        add(f"POST {_SECRETS}/acls/put", self._acl)
        add(f"POST {_SECRETS}/put", self._put)
        add(f"POST {_SECRETS}/delete", self._delete)
        add(f"GET {_SECRETS}/get", self._get)
        add(f"GET {_SECRETS}/list", self._list)

    def age(self, scope: str, key: str, seconds: float) -> None:
        """Let a secret be that much older."""
        value, changed = self.values[scope][key]
        self.values[scope][key] = value, changed - int(1000 * seconds)

    def _scope(self, asked: Any) -> str:
        if asked.get("scope") not in self.values:
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Scope {asked.get('scope')} does not exist!")
        return str(asked["scope"])

    def _create(self, request: Request) -> None:
        check(SecretsAPI.create_scope, request.json)
        if request.json["scope"] in self.values:
            raise refusal(400, "RESOURCE_ALREADY_EXISTS", f"Scope {request.json['scope']} already exists!")
        self.values[request.json["scope"]] = {}

    def _acl(self, request: Request) -> None:
        check(SecretsAPI.put_acl, request.json)
        self.readers.setdefault(self._scope(request.json), {})[request.json["principal"]] = request.json["permission"]

    def _put(self, request: Request) -> None:
        check(SecretsAPI.put_secret, request.json)
        text = request.json["string_value"]
        if len(text) > 128 * 1024:
            raise refusal(400, "INVALID_PARAMETER_VALUE", "The maximum allowed secret value size is 128 KB.")
        self.values[self._scope(request.json)][request.json["key"]] = text, next(self._clock)

    def _delete(self, request: Request) -> None:
        check(SecretsAPI.delete_secret, request.json)
        if self.values[self._scope(request.json)].pop(request.json["key"], None) is None:
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Secret {request.json['key']} does not exist!")

    def _get(self, request: Request) -> dict[str, str]:
        value = self.values[self._scope(request.query)].get(request.query["key"])
        if value is None:
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Secret {request.query['key']} does not exist!")
        return {"key": request.query["key"], "value": base64.b64encode(value[0].encode()).decode()}

    def _list(self, request: Request) -> dict[str, Any]:
        kept = self.values[self._scope(request.query)]
        return {"secrets": [{"key": key, "last_updated_timestamp": changed} for key, (_, changed) in kept.items()]}
