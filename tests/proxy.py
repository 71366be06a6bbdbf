"""An HTTP proxy before a sandbox, which changes what passes through it: a platform that is a little different."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
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
Again = Callable[[dict[str, Any]], httpx.Response]
"""Asks the sandbox once more with some parameters changed; None leaves one out."""
Instead = Callable[[Asked, httpx.Response, Again], httpx.Response]
"""Gives the answer to send, out of what was asked and the sandbox's answer: any status, JSON or a file."""


class _Server(ThreadingHTTPServer):
    """A server to which it is nothing new that a client goes away."""

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def proxied(
    box: Any, *, before: Before | None = None, after: After | None = None, instead: Instead | None = None
) -> Iterator[SimpleNamespace]:
    """Serve the sandbox through a proxy; ``asked`` lists the requests that came.

    Links to the sandbox become links to the proxy, so that files pass through it too.
    """
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self):
            content = self.rfile.read(size := int(self.headers.get("Content-Length") or 0))
            if len(content) < size:
                return  # the client has gone away
            path, _, query = self.path.removeprefix("/v1/").removeprefix("/").partition("?")
            params = json.loads(content) if content else dict(httpx.QueryParams(query).multi_items())
            asked.append((self.command, path, params))
            told = before(self.command, path, params) if before else None
            if told is not None:
                status, value = told
                headers, body = {"Date": date(), "Content-Type": "application/json"}, json.dumps(value).encode()
            else:
                sent = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                found = upstream.request(self.command, box.url + self.path, content=content, headers=sent)
                if instead:
                    found = instead((self.command, path, params), found, partial(self.again, content))
                status, body = found.status_code, found.content
                headers = {name: found.headers[name] for name in ("Date", "Content-Type") if name in found.headers}
                if after and status == 200 and "json" in headers.get("Content-Type", ""):
                    body = json.dumps(after(self.command, path, found.json())).encode()
                if "json" in headers.get("Content-Type", ""):
                    body = body.replace(box.url.encode(), proxy_url().encode())
            self.send_response_only(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def again(self, content: bytes, changes: dict[str, Any]) -> httpx.Response:
            where, _, query = self.path.partition("?")
            headers = {n: v for n, v in self.headers.items() if n.lower() not in {"host", "content-length"}}
            if content:
                body = {n: v for n, v in {**json.loads(content), **changes}.items() if v is not None}
                return upstream.request(self.command, box.url + where, json=body, headers=headers)
            params = httpx.QueryParams(query)
            for name, value in changes.items():
                params = params.remove(name) if value is None else params.set(name, value)
            return upstream.request(self.command, box.url + where, params=params, headers=headers)

        do_GET = do_POST = do_PUT = do_DELETE = pass_on

        def log_message(self, *_args):
            pass

    def proxy_url() -> str:
        return f"http://127.0.0.1:{server.server_port}"

    def date() -> str:
        return box.world.now.strftime("%a, %d %b %Y %H:%M:%S GMT")

    with httpx.Client(timeout=60) as upstream, _Server(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield SimpleNamespace(url=proxy_url(), token=box.token, asked=asked, truth=box.truth, box=box)
        finally:
            server.shutdown()
