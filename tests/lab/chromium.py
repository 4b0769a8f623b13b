"""python -m tests.lab.chromium PROGRAM: prints the results as node.mjs does, where there is no Node but a Chromium."""

import json
import sys

from playwright.sync_api import sync_playwright

from tests.browser.conftest import ROOT, served

SCRIPT = """async () => {
  const { results } = await import("/tests/lab/results.mjs");
  return results(await (await fetch("/tests/lab/golden.json")).json());
}"""


def main(program):
    with served(ROOT) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.goto(f"{address}/tests/lab/golden.json")
        print(json.dumps(page.evaluate(SCRIPT)))
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
