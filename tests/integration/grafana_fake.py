"""A small Grafana, as its API is documented: folders, data sources, dashboards, a group of alert rules, and what it refuses.

The real one is in none of Debian's repositories. What is here is no more than what `pyagent dashboards --push` asks for.
"""

import copy
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

__all__ = ["Grafana"]

_RIGHTS = {"admin-token": 3, "editor-token": 2, "viewer-token": 1}


class Grafana:
    """`url`, and what is in it. `answers`: by method and path an answer in place of its own, (status, body, headers)."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.folders: dict[str, dict[str, Any]] = {}
        self.sources: dict[str, dict[str, Any]] = {}
        self.dashboards: dict[str, dict[str, Any]] = {}
        self.meta: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.answers: dict[tuple[str, str], tuple[int, Any, dict[str, str]]] = {}
        self.requests: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []

    def __enter__(self) -> "Grafana":
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                fake.headers.append(dict(self.headers))
                status, found, headers = fake.answer(
                    self.command, self.path, body, self.headers.get("Authorization", "")
                )
                data = found if isinstance(found, bytes) else json.dumps(found).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}{self.prefix}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)

    @property
    def changes(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.requests if method != "GET"]

    def answer(self, method: str, path: str, body: Any, authorization: str) -> tuple[int, Any, dict[str, str]]:
        self.requests.append((method, path))
        if (method, path) in self.answers:
            return self.answers[method, path]
        if not path.startswith(f"{self.prefix}/api/"):
            return 302, b"", {"Location": f"{self.prefix}/login"}
        path = path.removeprefix(f"{self.prefix}/api")
        if path == "/health":
            return 200, {"commit": "x", "database": "ok", "version": "12.2.1"}, {}
        rights = _RIGHTS.get(authorization.removeprefix("Bearer "), 0)
        if not rights:
            return 401, {"message": "Invalid API key", "messageId": "api-key.invalid", "statusCode": 401}, {}
        status, found = self._found(method, unquote(path), body, rights)
        return status, found, {}

    def _found(self, method: str, path: str, body: Any, rights: int) -> tuple[int, Any]:
        words = path.strip("/").split("/")
        if method != "GET" and rights < 2:
            return 403, {"message": "You'll need additional permissions to perform this action."}
        match [method, *words]:
            case ["GET", "org"]:
                return 200, {"id": 1, "name": "Main Org."}
            case ["GET", "folders", uid]:
                return (200, self.folders[uid]) if uid in self.folders else (404, {"message": "folder not found"})
            case ["POST", "folders"]:
                if any(one["title"] == body["title"] for one in self.folders.values()):
                    return 409, {"message": "a folder with the same name already exists in the current location"}
                self.folders[body["uid"]] = {"id": 1, **body}
                return 200, self.folders[body["uid"]]
            case ["GET", "datasources", "uid", uid]:
                return (200, self.sources[uid]) if uid in self.sources else (404, {"message": "Data source not found"})
            case ["GET", "datasources", "uid", _, "health"]:
                return 200, {"status": "OK", "message": "datasource is working. 2 buckets found"}
            case ["POST", "datasources"]:
                if rights < 3:
                    return 403, {"message": "You'll need additional permissions to perform this action."}
                if any(one["name"] == body["name"] for one in self.sources.values()):
                    return 409, {"message": "data source with the same name already exists"}
                self.sources[body["uid"]] = {"id": 1, **body}
                return 200, {"datasource": {"id": 1}, "message": "Datasource added"}
            case ["GET", "dashboards", "uid", uid]:
                if uid not in self.dashboards:
                    return 404, {"message": "Dashboard not found"}
                return 200, {"dashboard": self.dashboards[uid], "meta": self.meta[uid]}
            case ["POST", "dashboards", "db"]:
                return self._save(body)
            case ["PUT", "v1", "provisioning", "folder", folder, "rule-groups", group]:
                if rights < 3:
                    return 403, {"message": "You'll need additional permissions to perform this action."}
                assert folder in self.folders
                self.groups[group] = body
                return 200, body
        return 404, {"message": "Not found"}

    def _save(self, body: Any) -> tuple[int, Any]:
        board, folder = body["dashboard"], body["folderUid"]
        if folder not in self.folders:
            return 400, {"message": "folder not found"}
        same = (
            uid
            for uid, one in self.dashboards.items()
            if one["title"] == board["title"] and self.meta[uid]["folderUid"] == folder and uid != board["uid"]
        )
        if next(same, None):
            message = "A dashboard with the same name in the folder already exists"
            return 412, {"status": "name-exists", "message": message}
        before = self.dashboards.get(board["uid"])
        if before and not body["overwrite"]:
            return 412, {"status": "version-mismatch", "message": "The dashboard has been changed by someone else"}
        number, version = (before["id"], before["version"] + 1) if before else (len(self.dashboards) + 1, 1)
        self.dashboards[board["uid"]] = {**copy.deepcopy(board), "id": number, "version": version}
        self.meta[board["uid"]] = {"folderUid": folder, "provisioned": False, "version": version}
        return 200, {"id": number, "uid": board["uid"], "status": "success", "version": version}
