"""An HTTP proxy before a sandbox, which changes what passes through it: a platform that is a little different."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import httpx

Asked = tuple[str, str, dict[str, Any]]
"""Method, path without /v1, and the body or the query."""

Before = Callable[[str, str, dict[str, Any]], tuple[int, Any] | None]
"""Gives an answer in place of the sandbox's, or None."""
After = Callable[[str, str, Any], Any]
"""Gives the JSON to send in place of the sandbox's."""


@contextmanager
def proxied(box: Any, *, before: Before | None = None, after: After | None = None) -> Iterator[SimpleNamespace]:
    """Serve the sandbox through a proxy; ``asked`` lists the requests that came."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self):
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, _, query = self.path.removeprefix("/v1/").partition("?")
            params = json.loads(content) if content else dict(httpx.QueryParams(query).multi_items())
            asked.append((self.command, path, params))
            told = before(self.command, path, params) if before else None
            if told is not None:
                status, value = told
                headers, body = {"Date": date(), "Content-Type": "application/json"}, json.dumps(value).encode()
            else:
                sent = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                found = upstream.request(self.command, box.url + self.path, content=content, headers=sent)
                status, body = found.status_code, found.content
                headers = {name: found.headers[name] for name in ("Date", "Content-Type") if name in found.headers}
                if after and status == 200 and "json" in headers.get("Content-Type", ""):
                    body = json.dumps(after(self.command, path, found.json())).encode()
            self.send_response_only(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = pass_on

        def log_message(self, *_args):
            pass

    def date() -> str:
        return box.world.now.strftime("%a, %d %b %Y %H:%M:%S GMT")

    with httpx.Client(timeout=60) as upstream, ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield SimpleNamespace(
                url=f"http://127.0.0.1:{server.server_port}", token=box.token, asked=asked, truth=box.truth, box=box
            )
        finally:
            server.shutdown()
