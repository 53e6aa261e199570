"""A headless Chromium from the npm package, and a running demo with its dashboard."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

from playwright.sync_api import Browser, sync_playwright

NODE: Final = Path(__file__).parents[2] / "node-browser"
STARTS_WITHIN_S: Final = 120


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The package's Chromium, unpacked once beside it."""
    node = shutil.which("node")
    assert node is not None, "node is not installed"
    folder = NODE / "node_modules" / ".unpacked"
    done = subprocess.run(
        [node, str(NODE / "unpack.mjs"), str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    libraries = os.pathsep.join(filter(None, (found["libraries"], os.environ.get("LD_LIBRARY_PATH"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found["browser"],
            args=["--no-sandbox", "--headless"],
            env={**os.environ, "LD_LIBRARY_PATH": libraries},
        )
        yield browser
        browser.close()


@dataclass
class Demo:
    """`counterfoil demo --serve` in a process of its own."""

    process: subprocess.Popen[str]
    base: str
    home: Path

    def get(self, path: str) -> Any:
        """An answer of its service."""
        with urlopen(self.base + path, timeout=60) as answer:  # noqa: S310 - a loopback address of ours
            return json.loads(answer.read())

    def post(self, path: str, body: object) -> Any:
        """An answer to a POST."""
        request = Request(  # noqa: S310 - a loopback address of ours
            self.base + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read())

    def stop_chain(self, number: int) -> None:
        """Kill the node of a chain, as it dies in the field."""
        nodes = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if b"anvil" in arguments[0] and parent == self.process.pid:
                    chain = int(arguments[arguments.index(b"--chain-id") + 1])
                    nodes.append((chain, int(entry.name)))
        os.kill(sorted(nodes)[number][1], signal.SIGKILL)


@contextlib.contextmanager
def demo(folder: Path) -> Iterator[Demo]:
    """A demo that serves on a free port; it ends on leaving."""
    process = subprocess.Popen(
        [sys.executable, "-m", "aggregator.cli", "demo", "--serve", "--port", "0", "--keep", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
    )
    said: list[str] = []
    base = ""
    timer = threading.Timer(STARTS_WITHIN_S, process.kill)
    timer.start()
    reader: threading.Thread | None = None
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"The dashboard: +(http://\S+)/", line):
                base = found.group(1)
            if "Ctrl-C ends it" in line:
                break
        timer.cancel()
        assert base, "".join(said[-30:])
        reader = threading.Thread(target=process.stdout.read, daemon=True)
        reader.start()
        yield Demo(process, base, folder)
    finally:
        timer.cancel()
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if reader is not None:
            reader.join()
        if process.stdout is not None:
            process.stdout.close()
