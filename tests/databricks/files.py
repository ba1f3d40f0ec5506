"""The Files API over volumes, models and MLflow's artifacts, and the workspace's own files."""

from __future__ import annotations

import base64
import hashlib
import secrets
import shutil
import threading
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .http import Reply, Request, refusal

if TYPE_CHECKING:
    from .workspace import Workspace

__all__ = ["FilesApi"]

A_PAGE = 3
"""Entries of one page of a listing: few, so that every listing of a test has several pages."""

ROOTS = ("Volumes", "Models", "WorkspaceInternal", "Workspace")


class FilesApi:
    """Files on the disk below `folder`, as `/Volumes/<catalog>/<schema>/<volume>/…` and the other roots name them."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.folder = workspace.folder / "files"
        self._presigned: dict[str, tuple[str, Path]] = {}
        self._uploads: dict[str, tuple[Path, dict[int, bytes]]] = {}
        self._lock = threading.RLock()
        add = workspace.routes.add
        add("PUT /api/2.0/fs/files/{path...}", self._put)
        add("GET /api/2.0/fs/files/{path...}", self._get)
        add("HEAD /api/2.0/fs/files/{path...}", self._get)
        add("DELETE /api/2.0/fs/files/{path...}", self._delete)
        add("POST /api/2.0/fs/files/{path...}", self._upload)
        add("PUT /api/2.0/fs/directories/{path...}", self._make_directory)
        add("GET /api/2.0/fs/directories/{path...}", self._list)
        add("HEAD /api/2.0/fs/directories/{path...}", self._directory)
        add("DELETE /api/2.0/fs/directories/{path...}", self._delete_directory)
        add("POST /api/2.0/fs/create-download-url", self._download_url)
        add("POST /api/2.0/fs/create-upload-part-urls", self._part_urls)
        add("POST /api/2.0/fs/create-abort-upload-url", self._abort_url)
        add("GET /presigned/{key}", self._presigned_get)
        add("PUT /presigned/{key}", self._presigned_put)
        add("DELETE /presigned/{key}", self._presigned_abort)
        add("POST /api/2.0/workspace/mkdirs", self._workspace_mkdirs)
        add("POST /api/2.0/workspace/import", self._workspace_import)
        add("POST /api/2.0/workspace/delete", self._workspace_delete)
        add("GET /api/2.0/workspace/get-status", self._workspace_status)
        add("GET /api/2.0/workspace/list", self._workspace_list)
        add("GET /api/2.0/workspace/export", self._workspace_export)

    def path(self, name: str) -> Path:
        """Return where a file of the workspace lies on this disk.

        Raises:
            Refused: no such volume, or a path that is none.
        """
        parts = name.strip("/").split("/")
        if parts[0] not in ROOTS or any(part in ("", ".", "..") for part in parts):
            raise refusal(400, "INVALID_PARAMETER_VALUE", f"Invalid path: /{name.strip('/')}")
        if parts[0] == "Volumes":
            if len(parts) < 4:
                raise refusal(400, "INVALID_PARAMETER_VALUE", f"/{'/'.join(parts)} is not inside a volume.")
            self._workspace.catalog.volume(".".join(parts[1:4]))
        return self.folder.joinpath(*parts)

    def read(self, name: str) -> bytes:
        """Return the content of a file, for tests and jobs."""
        return self.path(name).read_bytes()

    def _put(self, request: Request, path: str) -> Reply:
        self._write(self.path(path), request.body, overwrite=request.query.get("overwrite") == "true")
        return Reply(b"", 204)

    def _write(self, file: Path, content: bytes, *, overwrite: bool) -> None:
        with self._lock:
            if file.is_dir():
                raise refusal(409, "ALREADY_EXISTS", "A directory exists at the given path.")
            if file.exists() and not overwrite:
                raise refusal(409, "ALREADY_EXISTS", "The file being created already exists.")
            if any(parent.is_file() for parent in file.parents):
                raise refusal(409, "ALREADY_EXISTS", "A file exists at the path of a parent directory.")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def _get(self, request: Request, path: str) -> Reply:
        return _content(request, self._existing(self.path(path)))

    def _existing(self, file: Path) -> Path:
        if not file.is_file():
            raise refusal(404, "NOT_FOUND", "The file being accessed is not found.")
        return file

    def _delete(self, _: Request, path: str) -> Reply:
        with self._lock:
            self._existing(self.path(path)).unlink()
        return Reply(b"", 204)

    def _make_directory(self, _: Request, path: str) -> Reply:
        with self._lock:
            directory = self.path(path)
            if directory.is_file() or any(parent.is_file() for parent in directory.parents):
                raise refusal(409, "ALREADY_EXISTS", "A file exists at the given path.")
            directory.mkdir(parents=True, exist_ok=True)
        return Reply(b"", 204)

    def _directory(self, _: Request, path: str) -> Reply:
        self._existing_directory(path)
        return Reply(b"")

    def _existing_directory(self, path: str) -> Path:
        directory = self.path(path)
        if not directory.is_dir():
            raise refusal(404, "NOT_FOUND", "The directory being accessed is not found.")
        return directory

    def _list(self, request: Request, path: str) -> dict[str, Any]:
        with self._lock:
            entries = sorted(self._existing_directory(path).iterdir())
            first = int(request.query.get("page_token", 0))
            page = entries[first : first + min(A_PAGE, int(request.query.get("page_size", A_PAGE)))]
            contents = [self._entry(entry) for entry in page]
        last = first + len(page)
        return {"contents": contents} | ({"next_page_token": str(last)} if last < len(entries) else {})

    def _entry(self, entry: Path) -> dict[str, Any]:
        name = f"/{entry.relative_to(self.folder).as_posix()}"
        found: dict[str, Any] = {"path": name, "name": entry.name, "is_directory": entry.is_dir()}
        if not entry.is_dir():
            found |= {"file_size": entry.stat().st_size, "last_modified": int(entry.stat().st_mtime * 1000)}
        return found

    def _delete_directory(self, _: Request, path: str) -> Reply:
        with self._lock:
            directory = self._existing_directory(path)
            if any(directory.iterdir()):
                raise refusal(400, "INVALID_PARAMETER_VALUE", "The directory being deleted is not empty.")
            directory.rmdir()
        return Reply(b"", 204)

    def _sign(self, kind: str, file: Path) -> str:
        key = secrets.token_hex(12)
        self._presigned[key] = (kind, file)
        return f"{self._workspace.url}/presigned/{key}"

    def _download_url(self, request: Request) -> dict[str, Any]:
        file = self._existing(self.path(request.query["path"]))
        return {"url": self._sign("read", file), "headers": []}

    def _presigned_get(self, request: Request, key: str) -> Reply:
        kind, file = self._presigned.get(key, ("", Path()))
        if kind != "read" or "authorization" in request.headers:
            raise refusal(403, "PERMISSION_DENIED", "The address is not signed for this.")
        return _content(request, self._existing(file))

    def _upload(self, request: Request, path: str) -> dict[str, Any] | None:
        action = request.query.get("action")
        if action == "initiate-upload":
            file = self.path(path)
            if file.exists() and request.query.get("overwrite") != "true":
                raise refusal(409, "ALREADY_EXISTS", "The file being created already exists.")
            token = secrets.token_hex(8)
            self._uploads[token] = (file, {})
            return {"multipart_upload": {"session_token": token}}
        if action == "complete-upload":
            file, parts = self._session(request.query["session_token"])
            etags = {part["part_number"]: part["etag"] for part in request.json["parts"]}
            if etags != {number: _etag(content) for number, content in parts.items()}:
                raise refusal(400, "INVALID_PARAMETER_VALUE", "One or more of the parts could not be found.")
            self._write(file, b"".join(parts[number] for number in sorted(parts)), overwrite=True)
            del self._uploads[request.query["session_token"]]
            return None
        raise refusal(400, "INVALID_PARAMETER_VALUE", f"Unknown action {action!r}")

    @property
    def unfinished_uploads(self) -> int:
        """How many multipart uploads were begun and neither completed nor aborted."""
        return len(self._uploads)

    def _session(self, token: str) -> tuple[Path, dict[int, bytes]]:
        if token not in self._uploads:
            raise refusal(404, "NOT_FOUND", "The upload session is not found.")
        return self._uploads[token]

    def _part_urls(self, request: Request) -> dict[str, Any]:
        token, first = request.json["session_token"], request.json["start_part_number"]
        self._session(token)
        numbers = range(first, first + request.json["count"])
        urls = [{"part_number": n, "url": self._sign(f"part {n} {token}", Path()), "headers": []} for n in numbers]
        return {"upload_part_urls": urls}

    def _presigned_put(self, request: Request, key: str) -> Reply:
        kind, number, token = [*self._presigned.get(key, ("", Path()))[0].split(" "), "", ""][:3]
        if kind != "part":
            raise refusal(403, "PERMISSION_DENIED", "The address is not signed for this.")
        self._session(token)[1][int(number)] = request.body
        return Reply(b"", 200, {"ETag": _etag(request.body)})

    def _abort_url(self, request: Request) -> dict[str, Any]:
        token = request.json["session_token"]
        self._session(token)
        return {"abort_upload_url": {"url": self._sign(f"abort {token}", Path()), "headers": []}}

    def _presigned_abort(self, _: Request, key: str) -> Reply:
        self._uploads.pop(self._presigned[key][0].removeprefix("abort "), None)
        return Reply(b"", 204)

    def _workspace_path(self, name: str) -> Path:
        return self.path(name if name.startswith("/Workspace/") else f"/Workspace{name}")

    def _workspace_mkdirs(self, request: Request) -> None:
        self._workspace_path(request.json["path"]).mkdir(parents=True, exist_ok=True)

    def _workspace_import(self, request: Request) -> None:
        if request.headers["content-type"].startswith("multipart/form-data"):
            fields = _multipart(request)
            content = fields["content"]
            name, overwrite = fields["path"].decode(), fields.get("overwrite", b"") == b"true"
        else:
            content = base64.b64decode(request.json["content"])
            name, overwrite = request.json["path"], bool(request.json.get("overwrite"))
        file = self._workspace_path(name)
        if not file.parent.is_dir():
            message = f"The parent folder ({quote(str(Path(name).parent), safe='/')}) does not exist."
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", message)
        if file.exists() and not overwrite:
            raise refusal(400, "RESOURCE_ALREADY_EXISTS", f"Path ({name}) already exists.")
        file.write_bytes(content)

    def _in_workspace(self, name: str) -> Path:
        path = self._workspace_path(name)
        if not path.exists():
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Path ({name}) doesn't exist.")
        return path

    def _workspace_delete(self, request: Request) -> None:
        path = self._in_workspace(request.json["path"])
        if path.is_file():
            path.unlink()
        elif request.json.get("recursive"):
            shutil.rmtree(path)
        elif any(path.iterdir()):
            raise refusal(400, "DIRECTORY_NOT_EMPTY", f"Folder ({request.json['path']}) is not empty")
        else:
            path.rmdir()

    def _workspace_status(self, request: Request) -> dict[str, Any]:
        return self._object(self._in_workspace(request.query["path"]))

    def _workspace_list(self, request: Request) -> dict[str, Any]:
        return {"objects": [self._object(path) for path in sorted(self._in_workspace(request.query["path"]).iterdir())]}

    def _workspace_export(self, request: Request) -> Reply:
        content = self._in_workspace(request.query["path"]).read_bytes()
        if request.query.get("direct_download") == "true":
            return Reply(content, 200, {"Content-Type": "application/octet-stream"})
        return Reply({"content": base64.b64encode(content).decode(), "file_type": "file"})

    def _object(self, path: Path) -> dict[str, Any]:
        name = f"/{path.relative_to(self.folder / 'Workspace').as_posix()}"
        kind = "DIRECTORY" if path.is_dir() else "FILE"
        return {
            "path": name,
            "object_type": kind,
            "object_id": path.stat().st_ino,
            "resource_id": str(path.stat().st_ino),
        }


def _content(request: Request, file: Path) -> Reply:
    content, changed = file.read_bytes(), formatdate(file.stat().st_mtime, usegmt=True)
    headers = {"Content-Type": "application/octet-stream", "Last-Modified": changed}
    if asked := request.headers.get("range", "").removeprefix("bytes="):
        first, _, last = asked.partition("-")
        return Reply(content[int(first) : int(last) + 1 if last else None], 206, headers)
    return Reply(content, 200, headers)


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def _multipart(request: Request) -> dict[str, bytes]:
    """Return the fields of a form by their names."""
    from email.parser import BytesParser

    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    form = BytesParser().parsebytes(head + request.body)
    return {
        str(part.get_param("name", header="content-disposition")): bytes(part.get_payload(decode=True) or b"")
        for part in form.get_payload()
        if not isinstance(part, str)
    }
