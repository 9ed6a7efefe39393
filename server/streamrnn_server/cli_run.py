"""Runs a server from a terminal."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import sys
import threading
import time
import webbrowser
from typing import TYPE_CHECKING
from urllib.parse import quote

import typer
from rich.console import Console

from streamrnn_server.database import JournalError
from streamrnn_server.terminal import err, out

if TYPE_CHECKING:
    from streamrnn_server.app import Server


def run_server(
    server: Server, *, open_page: bool = False, show_token: bool = False, say: Console = out
) -> None:
    """Serve until Ctrl+C, telling a person how it goes."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    settings = server.settings
    tasks = []

    async def announce() -> None:
        await server.ready()
        say.print(f"live after {time.time() - server.hub.started:.1f} s")

    def started(server: Server) -> None:
        fragment = f"#token={quote(settings.token)}" if settings.token and show_token else ""
        say.print(f"{server.url}/{fragment}  (Ctrl+C stops)", style="bold", markup=False)
        tasks.append(asyncio.ensure_future(announce()))
        if open_page:
            _open(f"{server.url}/{fragment}")

    problem = ""
    try:
        asyncio.run(server.run(started))
    except (OSError, ValueError) as error:
        problem = start_problem(settings.host, settings.port, error)
    except JournalError as error:
        problem = str(error)
    if problem:
        err.print(problem, style="red", markup=False)
    else:
        say.print(f"stopped after {server.pipeline.samples} samples")
    if server.compiling:
        # A thread is inside the compiler. It cannot be stopped, and to take the interpreter apart
        # under it can crash.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1 if problem else 0)
    if problem:
        raise typer.Exit(1)


def start_problem(host: str, port: int, error: OSError | ValueError) -> str:
    """What to tell a person who cannot start a server."""
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return (
            f"port {port} is in use, perhaps by another streamrnn: stop that one or choose another "
            "port, with --port or as port under [server]; 0 takes any free one"
        )
    if number == errno.EACCES:
        return f"this user may not use port {port}; choose one above 1023"
    if number == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"this machine has no address {host}; 127.0.0.1 is loopback, 0.0.0.0 stands for all"
    return f"cannot start: {error}"


def _open(url: str) -> None:
    """Open the page, unless that would mean a browser in this very terminal."""
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return
    # In a thread: it waits for some browsers.
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
