"""A headless Chromium, driven by its DevTools protocol through a pipe; needs nothing but the browser."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SECONDS = 60  # that one answer may take
_FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--remote-debugging-pipe",
]  # fmt: skip


def find_chromium() -> str | None:
    """Return the path of the browser, or None."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


_EXECUTE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


@contextlib.contextmanager
def chromium() -> Iterator[Chromium]:
    """Start a browser with one page, and end it."""
    browser = find_chromium()
    assert browser is not None, "found no chromium; install it"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, contextlib.ExitStack() as stack:
        commands, to_browser = _pipe()
        from_browser, answers = _pipe()
        # The browser reads from descriptor 3 and writes to descriptor 4.
        start = [sys.executable, "-ISc", _EXECUTE, str(commands), str(answers), browser, *_FLAGS]
        process = subprocess.Popen(
            [*start, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(_end, process)
        stack.callback(os.close, from_browser)
        stack.callback(os.close, to_browser)
        os.close(commands)
        os.close(answers)
        yield Chromium(from_browser, to_browser)


def _pipe() -> tuple[int, int]:
    """Return the ends of a pipe, with numbers that are not those which the browser expects."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(10)  # it ends when its pipe does
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Chromium:
    """A running browser with one page, which `chromium` starts.

    Attributes:
        events: what the browser has reported since the last `open`, with `method` and `params`.
    """

    def __init__(self, from_browser: int, to_browser: int) -> None:
        self.events: list[dict[str, Any]] = []
        self._in, self._out = from_browser, to_browser
        self._answers: dict[int, dict[str, Any]] = {}
        self._n_calls, self._buffer, self._session = 0, b"", ""
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._n_calls += 1
        message = {"id": self._n_calls, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        deadline = time.monotonic() + _SECONDS
        while self._n_calls not in self._answers:
            self._receive(deadline, method)
        answer = self._answers.pop(self._n_calls)
        assert "error" not in answer, (method, answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def _receive(self, deadline: float, what: str) -> None:
        ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"{what}: the browser did not answer within {_SECONDS} seconds"
        data = os.read(self._in, 1 << 16)
        assert data, f"{what}: the browser has ended"
        *messages, self._buffer = (self._buffer + data).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self._answers[message["id"]] = message
            else:
                self.events.append(message)

    def open(self, path: Path | str) -> None:
        """Open a file or a URL and wait until it is loaded."""
        self.events.clear()
        self.call("Page.navigate", url=path if isinstance(path, str) else path.resolve().as_uri())
        deadline = time.monotonic() + _SECONDS
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._receive(deadline, str(path))

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression in the page; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key, such as `Tab` with the code 9, where the focus is."""
        values = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **values)
        self.call("Input.dispatchKeyEvent", type="keyUp", **values)

    def show(self, width: int, height: int, scheme: str = "light") -> None:
        """Set the size of the page and its color scheme, `light` or `dark`."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self) -> bytes:
        """Return what is visible of the page as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def requests(self) -> list[str]:
        """Return the URLs that the page has asked for since it was opened, itself included."""
        return [
            event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """Return the messages on the console and the errors of scripts since the page was opened."""
        methods = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(event) for event in self.events if event["method"] in methods]
