"""Files in memory."""

from __future__ import annotations

from collections.abc import Iterable

from churn.ports.files import Files, ReplacedWord, path_parts, pattern_of


class InMemoryFiles(Files):
    """Keeps the content of each file by its name, in `content`."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def put(self, name: str, chunks: Iterable[bytes]) -> str:
        key = "/".join(path_parts(name))
        self.content[key] = b"".join(chunks)
        return f"memory:{key}"

    def get(self, name: str) -> bytes | None:
        return self.content.get("/".join(path_parts(name)))

    def names(self, folder: str) -> list[str]:
        return sorted(name for name in self.content if name.startswith("/".join(path_parts(folder)) + "/"))

    def replace_word(self, word: str, by: str) -> ReplacedWord:
        pattern, changed, held = pattern_of(word), [], []
        for name, content in sorted(self.content.items()):
            if pattern.search(name.rsplit("/", 1)[-1].encode()):
                del self.content[name]
                changed.append(name)
            elif pattern.search(content):
                folders = [name.rsplit("/", up)[0] for up in range(1, name.count("/") + 1)]
                is_model = any(f"{folder}/MLmodel" in self.content for folder in folders)
                if b"\0" in content or is_model:
                    held.append(name)
                else:
                    self.content[name] = pattern.sub(by.encode(), content)
                    changed.append(name)
        return ReplacedWord(tuple(changed), tuple(held))

    def delete(self, name: str) -> None:
        self.content.pop("/".join(path_parts(name)), None)
