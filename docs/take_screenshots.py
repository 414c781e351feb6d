"""Take the screenshots of the documentation: the report, Kedro-Viz, and the curves in MLflow.

Opens the results of the newest run in `data/` and `mlflow.db` with a headless Chromium. Needs
`pip install playwright` and a Chromium (`playwright install chromium`, or ``--chromium PATH``),
which nothing else in the project needs.

    python docs/take_screenshots.py --params partition.num_parts=5
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DOCS = Path(__file__).parent
ROOT = DOCS.parent
BIN = Path(sys.executable).parent  # contains the commands kedro and mlflow
SIZE = {"width": 1440, "height": 900}
TIMEOUT = 180_000  # milliseconds
SETTLE = 3_000  # milliseconds until animations have ended
QUIET = """
localStorage.setItem("KedroViz", JSON.stringify({
    showFeatureHints: false, theme: "light", visible: {sidebar: false, miniMap: false},
}));
localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
"""  # close the guided tours and the assistant, which would cover the page


def main() -> None:
    """Take all three screenshots."""
    from playwright.sync_api import sync_playwright

    options = read_options()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium)
        take_report(browser)
        take_dag(browser, options.params)
        take_curves(browser)


def read_options() -> argparse.Namespace:
    """Read the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", help="parameters of the run, as for `kedro run`")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    parser.add_argument(
        "--chromium", default=found, help="path of Chromium, if it is not found automatically"
    )
    return parser.parse_args()


def take_report(browser: Browser) -> None:
    """Show the top of the report."""
    page = open_page(browser, (ROOT / "data/08_reporting/base/report.html").as_uri())
    save(page, "report.png")


def take_dag(browser: Browser, params: str | None) -> None:
    """Show the pipeline with collapsed namespaces."""
    shape = ["--params", params] if params else []
    command = ["kedro", "viz", "run", "--include-hooks", "--no-browser", *shape]
    with serve(command) as address:
        page = open_page(browser, address, ".pipeline-node")
        if (banner := page.get_by_text("Dismiss")).count():  # a notice of a newer Kedro-Viz
            banner.first.click()
        save(page, "dag.png")


def take_curves(browser: Browser) -> None:
    """Show the curves of all trainings in the view that mlic saves with the experiment."""
    with closing(sqlite3.connect(ROOT / "mlflow.db")) as database:
        ((number,),) = database.execute(
            "select experiment_id from experiment_tags where key like '%mlic-curves'"
        )
    view = f"#/experiments/{number}/runs?workflowType=machine_learning&compareRunsMode=CHART"
    with serve(["mlflow", "ui", "--backend-store-uri", "sqlite:///mlflow.db"]) as address:
        page = open_page(
            browser, f"{address}/{view}&viewStateShareKey=mlic-curves", ".scatterlayer .trace"
        )
        save(page, "mlflow.png")


def open_page(browser: Browser, address: str, wait_for: str = "body") -> Page:
    """Open an address and wait until an element is visible."""
    page = browser.new_page(viewport=SIZE)
    page.add_init_script(QUIET)
    page.goto(address, timeout=TIMEOUT)
    page.wait_for_selector(wait_for, timeout=TIMEOUT)
    return page


def save(page: Page, name: str) -> None:
    """Save a screenshot of the visible part of a page."""
    page.wait_for_timeout(SETTLE)
    page.screenshot(path=DOCS / name)
    page.close()


@contextmanager
def serve(command: list[str]) -> Iterator[str]:
    """Run a server for the duration of the context, and stop it with all its child processes."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(  # noqa: S603
        [BIN / command[0], *command[1:], "--host", "127.0.0.1", "--port", str(port)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a process group, which can be stopped as a whole
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait(lambda: urlopen(address).status == 200, server)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def wait(ready: Callable[[], bool], server: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers.

    Raises
    ------
    SystemExit
        If it has stopped, or does not answer in time.
    """
    until = time.monotonic() + TIMEOUT / 1000
    while time.monotonic() < until and server.poll() is None:
        try:
            if ready():
                return
        except (URLError, ConnectionError):
            time.sleep(1)
    raise SystemExit(f"{server.args} does not answer: run it by hand to see why")


if __name__ == "__main__":
    main()
