"""An endpoint of a test's own on this machine, that behaves as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Status, body and headers of an answer to a request's body; None answers nothing for too long.
Answer = tuple[int, bytes, dict[str, str]]
Behaviour = Callable[[dict[str, Any]], Answer | None]


def failing(status: int, text: str = "no", **headers: str) -> Behaviour:
    return lambda body: (status, text.encode(), headers)


def saying(content: str) -> Behaviour:
    return lambda body: (200, content.encode(), {})


@dataclass
class Served:
    """A server that behaves as told, request by request, and well after that."""

    url: str
    script: list[Behaviour] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)


@contextmanager
def serving(good: Behaviour) -> Iterator[Served]:
    """A server for as long as the `with` lasts."""
    found = Served("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.bodies.append(body)
            found.keys.append(self.headers.get("Authorization"))
            answer = (found.script.pop(0) if found.script else good)(body)
            if answer is None:
                time.sleep(0.3)
                return
            status, content, headers = answer
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Clock:
    """Time that passes by sleeping alone."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def time(self) -> float:
        return self.now
