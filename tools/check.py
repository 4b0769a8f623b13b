"""Everything that CI checks, step by step: python tools/check.py [STEP …]

Each step runs even where one before it failed; the exit code is 1 when any of them did. Without names, all steps run.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sys.executable).parent
PYTEST = [sys.executable, "-m", "pytest"]
CHAPTERS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("chapters/*.ipynb"))
ONE_PAGE = "chapters/00_one_page.ipynb"  # needs MNIST: the digits will not do
ON_DIGITS = [path for path in CHAPTERS if path != ONE_PAGE]
NBVAL = [
    "--nbval-lax",
    "--nbval-current-env",
    "--nbval-cell-timeout=600",
    "-x",
    "--durations=10",
]

# Name of the step, what it does, its command, and what it adds to the environment.
STEPS = [
    ("lint", "ruff: the code, chapters included", [PROGRAMS / "ruff", "check", "."], {}),
    ("format", "ruff: the layout of the modules", [PROGRAMS / "ruff", "format", "--check", "."], {}),
    ("spelling", "codespell", [PROGRAMS / "codespell"], {}),
    ("workflows", "zizmor: the GitHub workflows", [PROGRAMS / "zizmor", "--offline", "--no-progress", ".github"], {}),
    ("unit", "unit tests, and what every chapter must have", [*PYTEST, "--ignore=tests/browser"], {"MPLBACKEND": "agg"}),
    ("chapters", "every chapter, re-executed", [*PYTEST, *NBVAL, *CHAPTERS], {}),
    ("digits", "every chapter but the one page once more, on the digits",
     [*PYTEST, *NBVAL, *ON_DIGITS], {"FF_DATASET": "digits"}),
    ("book", "the book, without a warning", [PROGRAMS / "jupyter-book", "build", ".", "--all", "-W", "-n", "--keep-going"], {}),
    ("links", "the links within the book", [sys.executable, "tools/check_links.py", "_build/html"], {}),
    ("browser", "the pages in a browser", [*PYTEST, "tests/browser"], {}),
]  # fmt: skip
WHICH_DATA = """
import pathlib, sys, ffutils, ffutils.files
if pathlib.Path(ffutils.__file__).resolve().parents[1] != pathlib.Path(sys.argv[1]):
    sys.exit(f"ffutils comes from {ffutils.__file__}, not from this folder: remove .venv and set it up again")
print(ffutils.load_dataset()[0])
print(ffutils.files.data_folder())
"""


def environment():
    """This process's environment without what would change a result."""
    changing = {
        "MPLBACKEND",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PYTHONWARNINGS",
        "PYTEST_ADDOPTS",
        "PYTEST_PLUGINS",
    }
    clean = {name: value for name, value in os.environ.items() if name not in changing}
    return clean | {"JUPYTER_PREFER_ENV_PATH": "1", "PYTHONUNBUFFERED": "1"}


def find_data(env):
    """The data set that the chapters will have, "mnist" or "digits", and the folder that MNIST lies in.

    It is fetched here, once, where that is possible.
    """
    found = subprocess.run(
        [sys.executable, "-c", WHICH_DATA, str(ROOT)],
        cwd=ROOT / "tools",
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    )
    if found.returncode:
        sys.exit("No data set, so nothing was tested: see the message above.")
    return found.stdout.splitlines()[-2:]


def main(names):
    known = [step[0] for step in STEPS]
    if set(names) - set(known):
        sys.exit(
            f"unknown step {', '.join(sorted(set(names) - set(known)))}: expected some of {', '.join(known)}"
        )
    began, env = time.monotonic(), environment()
    data, folder = find_data(env)
    print(f"Data set: {data}", flush=True)
    env["FF_DATASET"] = (
        data  # every chapter takes the same, and none asks the network again
    )
    if data == "mnist":
        env["FF_DATA"] = folder
    report = []
    for name, what, command, extra in STEPS:
        if (names and name not in names) or (name == "digits" and data == "digits"):
            continue
        if name == "chapters" and data == "digits":
            command = [part for part in command if part != ONE_PAGE]
        print(f"\n=== {name}: {what}", flush=True)
        started = time.monotonic()
        code = subprocess.run(
            list(map(str, command)), cwd=ROOT, env=env | extra
        ).returncode
        report.append(
            f"{'passed' if code == 0 else 'FAILED':<8}{name:<11}{time.monotonic() - started:6.0f} s"
        )
        print(
            f"=== {name}: {report[-1].split()[0]} after {time.monotonic() - started:.0f} s",
            flush=True,
        )
    failed = sum(line.startswith("FAILED") for line in report)
    print("\n" + "\n".join(report))
    print(
        f"{failed or 'no'} step{'s' * (failed != 1)} failed; {time.monotonic() - began:.0f} s in all; data set: {data}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
