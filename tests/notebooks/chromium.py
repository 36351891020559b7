"""A small driver of headless Chromium by its DevTools protocol: enough to use a web page.

    with Browser(folder) as page:
        page.open("http://127.0.0.1:8888/lab")
        page.wait("document.title", 30)
        page.press("ArrowRight")

Needs the package websocket-client, which comes with jupyter_server.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--window-size=1400,1000",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)
KEYS = {"ArrowRight": 39, "ArrowLeft": 37, "Home": 36, "End": 35, "Enter": 13}


def find() -> str:
    """The path of a Chromium or Chrome, by $CHROMIUM or on PATH; "" without one."""
    named = os.environ.get("CHROMIUM", "")
    return named or next(filter(None, map(shutil.which, NAMES)), "")


def stop(process: subprocess.Popen, seconds: float = 10) -> None:
    """End a process that was started with start_new_session, and all that it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
    process.wait(seconds)


def wait_for(what, seconds: float, said: str, every: float = 0.2):
    """The first true value of `what()`; AssertionError, with `said`, after so many seconds."""
    end = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {said}"
        time.sleep(every)
    return value


class Browser:
    """One page of a headless Chromium with a profile of its own under `folder`."""

    def __init__(self, folder: Path, timeout: float = 60):
        import websocket

        self.folder, profile = folder, folder / "chromium"
        home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
        self.process = subprocess.Popen(
            [find(), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            env=os.environ | home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            written = profile / "DevToolsActivePort"  # the port, then the browser's own address
            wait_for(
                lambda: written.exists() and "\n" in written.read_text(encoding="utf-8"),
                timeout,
                "Chromium",
            )
            port = written.read_text(encoding="utf-8").split()[0]
            listed = f"http://127.0.0.1:{port}/json/list"
            pages = wait_for(lambda: self._pages(listed), timeout, "a page of Chromium")
            address = pages[0]["webSocketDebuggerUrl"]
            self.socket = websocket.create_connection(address, timeout=timeout)
            self.ids = itertools.count(1)
            self.call("Page.enable")  # tells of dialogs
            self.call("Emulation.setFocusEmulationEnabled", enabled=True)  # as a window in front
        except BaseException:
            stop(self.process)
            raise

    @staticmethod
    def _pages(address: str) -> list[dict]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by a proxy
        with opener.open(address, timeout=10) as answer:
            return [p for p in json.load(answer) if p["type"] == "page"]

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and all its processes."""
        try:
            self.socket.close()
        finally:
            stop(self.process)

    def call(self, method: str, **arguments) -> dict:
        """A command of the protocol and its result; AssertionError if it refuses."""
        number = self._send(method, **arguments)
        while True:
            answer = json.loads(self.socket.recv())  # events come between answers
            if answer.get("method") == "Page.javascriptDialogOpening":  # everything waits for it
                self._send("Page.handleJavaScriptDialog", accept=True)
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _send(self, method: str, **arguments) -> int:
        number = next(self.ids)
        self.socket.send(json.dumps({"id": number, "method": method, "params": arguments}))
        return number

    def looks(self) -> Iterator[tuple[str, int]]:
        """Light and dark, wide and narrow, one after the other: scheme and width in pixels."""
        for scheme in ("light", "dark"):
            feature = {"name": "prefers-color-scheme", "value": scheme}
            self.call("Emulation.setEmulatedMedia", features=[feature])
            for width in (1280, 390):
                size = dict(width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
                self.call("Emulation.setDeviceMetricsOverride", **size)
                yield scheme, width

    def open(self, address: str) -> None:
        """Go there, whatever the page that is left would ask about unsaved changes."""
        self.call("Page.navigate", url=address)

    def js(self, expression: str):
        """The value of a JavaScript expression, of its promise where it is one."""
        out = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in out, (expression, out["exceptionDetails"])
        return out["result"].get("value")

    def wait(self, expression: str, seconds: float, said: str = ""):
        """The first true value of a JavaScript expression; AssertionError after so many seconds."""
        try:
            return wait_for(lambda: self.js(expression), seconds, said or expression)
        except AssertionError as err:
            picture = self.screenshot(self.folder / "failed.png")
            raise AssertionError(f"{err} (what was to be seen: {picture})") from None

    def click(self, element: str) -> None:
        """The left button on the middle of the element that a JavaScript expression gives."""
        self.js(f"({element}).scrollIntoView({{block: 'center'}})")
        box = f"(b => [b.x + b.width / 2, b.y + b.height / 2])(({element}).getBoundingClientRect())"
        x, y = self.js(box)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """A key of KEYS, on whatever has the focus."""
        for kind in ("keyDown", "keyUp"):
            code = dict(key=key, code=key, windowsVirtualKeyCode=KEYS[key])
            self.call("Input.dispatchKeyEvent", type=kind, **code)

    def screenshot(self, path: Path) -> Path:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
        return path
