"""A stand-in for the hub on the loopback, with one model; HF_ENDPOINT names it to a program."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0" * 40


@contextmanager
def hub(folder: Path, repository: str, missing: str = "") -> Iterator[str]:
    """The address of a hub whose only model is the files of a folder.

    A file named `missing` is listed, and then not sent.
    """
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    siblings = [{"rfilename": name, "size": len(data)} for name, data in contents.items()]
    tree = [
        {"type": "file", "path": name, "size": len(data), "oid": COMMIT}
        for name, data in contents.items()
    ]
    info = {"id": repository, "sha": COMMIT, "siblings": siblings, "private": False}
    info |= {"downloads": 0, "likes": 0, "tags": [], "gated": False, "disabled": False}

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            path = self.path.split("?")[0]
            name = path.removeprefix(f"/{repository}/resolve/{COMMIT}/")
            if path.startswith(f"/api/models/{repository}/tree/"):
                data = json.dumps(tree).encode()
            elif path.startswith(f"/api/models/{repository}"):
                data = json.dumps(info).encode()
            elif name in contents and name != missing:
                data = contents[name]
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
