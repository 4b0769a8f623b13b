"""python -m tests.lab.chromium PROGRAM: prints the results as node.mjs does, where there is no Node but a Chromium."""

import functools
import http.server
import json
import sys
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """async () => {
  const { results } = await import("/tests/lab/results.mjs");
  return results(await (await fetch("/tests/lab/golden.json")).json());
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def main(program):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=ROOT))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/tests/lab/golden.json")
        print(json.dumps(page.evaluate(SCRIPT)))
        browser.close()
    server.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
