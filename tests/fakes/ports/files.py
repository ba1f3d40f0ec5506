"""Files in memory."""

from __future__ import annotations

from collections.abc import Iterable

from churn.ports.files import Files, path_parts


class InMemoryFiles(Files):
    """Keeps the content of each file by its name, in `content`."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def put(self, name: str, chunks: Iterable[bytes]) -> str:
        key = "/".join(path_parts(name))
        self.content[key] = b"".join(chunks)
        return f"memory:{key}"

    def delete(self, name: str) -> None:
        self.content.pop("/".join(path_parts(name)), None)
