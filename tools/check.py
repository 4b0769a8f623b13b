"""Everything that CI checks, step by step: python tools/check.py [STEP …]

Each step runs even where one before it failed; the exit code is 1 when any of them did. Without names, all steps run.
Tests and chapters are spread over the cores of the machine: a chapter has one core and one thread.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.chapters import (
    LIMIT,
    ONE_PAGE,
    ROOT,
    changed_since,
    chapter_files,
    code_cells,
    cpu_count,
    read,
    side_by_side,
    source,
)

PROGRAMS = Path(sys.executable).parent
TOOLS = (
    Path(__file__).resolve().parent
)  # from here, `ffutils` is the one that is installed
BOOK = ROOT / ".venv-book" / PROGRAMS.name / "jupyter-book"
PYTEST = [sys.executable, "-m", "pytest"]
SPREAD = ["-n", cpu_count(), "--dist"]
NBVAL = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=600", "-x", "--durations=10"]  # fmt: skip
REPORTS = ROOT / "_build" / "reports"
OTHER_SEEDS = TOOLS / "other_seeds"
TYPESCRIPT = "typescript@5.9.3"  # from npm
# On the digits: part 1, which a reader without a network meets first, and the later chapters that do more with the data
# set than to train on a part of it. 13 has no figures for each data set, and cuts its batches from what there is; 14 takes
# its sizes from the number of images of each label.
ON_DIGITS = ("01", "02", "03", "04", "05", "13", "14")


class Job(NamedTuple):
    """What is asked of the steps."""

    env: dict
    data: str | None  # the data set that the chapters have: "mnist" or "digits"
    since: str | None  # re-run the chapters that changed since this commit alone
    everything: bool  # the nightly run, which leaves nothing out


def call(*commands, **extra):
    """A step that runs commands, and passes where all of them do."""

    def run(job):
        codes = []
        for program, *arguments in commands:
            if shutil.which(program) is None:
                print(f"{program} is missing: run make test, which sets it up")
                codes.append(1)
                continue
            command = [str(part) for part in (program, *arguments)]
            ended = subprocess.run(command, cwd=ROOT, env=job.env | extra)
            codes.append(ended.returncode)
        return not any(codes)

    return run


def workflows(job):
    zizmor = [PROGRAMS / "zizmor", "--offline", "--no-progress", "--persona=pedantic", ".github"]  # fmt: skip
    actionlint = shutil.which("actionlint")
    if actionlint is None:
        print("actionlint is not on this machine: left out (GitHub runs it)")
        return call(zizmor)(job)
    return call(zizmor, [actionlint, "-no-color"])(job)


def types(job):
    """Check the types that the laboratory's modules state in their comments (JSDoc)."""
    npx = shutil.which("npx")
    if npx is None:
        print("Node's npx is not on this machine: left out (GitHub runs it)")
        return None
    tsc = [npx, "--yes", "--package", TYPESCRIPT, "tsc"]
    if not call([*tsc, "--version"])(job):
        print(f"{TYPESCRIPT} could not be fetched from npm")
        return False if job.env.get("CI") else None
    return call([*tsc, "--project", "tools/lab/jsconfig.json"])(job)


def rerun(step, paths, dataset, job):
    """Re-execute chapters on a data set. A report of each is kept in _build/reports; that of a failure is printed."""
    if job.since:
        changed, why = changed_since(job.since)
        print(why)
        paths = [path for path in paths if path in changed]
    folder = REPORTS / step
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

    def run(path, threads):
        started = time.monotonic()
        fewer = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
        ended = subprocess.run(
            [*PYTEST, *NBVAL, str(path.relative_to(ROOT))],
            cwd=ROOT,
            env=job.env | fewer | {"FF_DATASET": dataset},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        (folder / f"{path.stem}.txt").write_text(ended.stdout, encoding="utf-8")
        return ended, time.monotonic() - started

    passed = True
    for path, (ended, took) in side_by_side(paths, run):
        if ended.returncode:
            passed = False
            print(ended.stdout)
        verdict = "FAILED" if ended.returncode else "passed"
        slow = f"  (it should take {LIMIT} s at most)" if took > LIMIT else ""
        print(f"{verdict:<8}{path.stem:<28}{took:5.0f} s{slow}", flush=True)
    return passed


def chapters(job):
    # The one page is about MNIST's own files: the digits will not do.
    left_out = ONE_PAGE if job.data == "digits" else None
    paths = [path for path in chapter_files() if path.stem != left_out]
    return rerun("chapters", paths, job.data, job)


def digits(job):
    if job.data == "digits":
        print("The chapters had nothing else: left out")
        return None
    paths = [path for path in chapter_files() if path.stem != ONE_PAGE]
    if not job.everything:
        paths = [path for path in paths if path.stem[:2] in ON_DIGITS]
    return rerun("digits", paths, "digits", job)


def seeds(job):
    """Nightly: every chapter with other seeds, for which its claims must hold, too."""
    if not job.everything:
        print("Every chapter with other seeds: left out but for ALL=1, as every night")
        return None
    changes = {"PYTHONPATH": str(OTHER_SEEDS), "FF_SEEDS": "100"}
    paths = [path for path in chapter_files() if path.stem != ONE_PAGE]
    return rerun("seeds", paths, job.data, job._replace(env=job.env | changes))


def fashion(job):
    """The first chapter that says what it expects of Fashion-MNIST; nightly, all of those."""
    paths = [
        path
        for path in chapter_files()
        if any('"fashion"' in source(cell) for cell in code_cells(read(path)))
    ]
    if not paths:
        print('No chapter names "fashion": expected one, with its own bands')
        return False
    missing = subprocess.run(
        [sys.executable, "-c", FIND_FASHION], cwd=TOOLS, env=environment()
    ).returncode
    if missing == NOT_THERE and not job.everything:
        print("Fashion-MNIST is not at hand: left out")
        return None
    if missing:
        return False
    return rerun("fashion", paths if job.everything else paths[:1], "fashion", job)


# They look at the rendered book.
WHOLE_BOOK = ["tests/test_pdf.py", "tests/test_figures.py", "tests/test_llms.py"]
OF_THE_BOOK = [f"--ignore={path}" for path in WHOLE_BOOK]
# Name of the step: what it does, and the function that does it, which returns True where it passed, False where it failed
# and None where it was left out.
STEPS = {
    "lint": ("ruff: the code, chapters included", call([PROGRAMS / "ruff", "check", "."])),
    "format": ("ruff: the layout of the modules", call([PROGRAMS / "ruff", "format", "--check", "."])),
    "spelling": ("codespell", call([PROGRAMS / "codespell"])),
    "types": ("TypeScript: the types of the laboratory's modules", types),
    "workflows": ("zizmor, actionlint: the GitHub workflows", workflows),
    "unit": ("unit tests, and what every chapter must have",
             call([*PYTEST, *SPREAD, "worksteal", *OF_THE_BOOK, "--ignore=tests/browser", "--ignore=tests/devices"],
                  MPLBACKEND="agg")),
    "devices": ("the code on a pretended GPU", call([*PYTEST, *SPREAD, "worksteal", "tests/devices"], MPLBACKEND="agg")),
    "chapters": ("every chapter, re-executed", chapters),
    "fashion": ("a chapter on Fashion-MNIST", fashion),
    "digits": ("part 1, and what the data set could break, on the digits", digits),
    "seeds": ("every chapter with other seeds, at night", seeds),
    "book": ("the book, without a warning", call([BOOK, "build", ".", "--all", "-W", "-n", "--keep-going"])),
    "pdf": ("the book as one PDF, and the figures for teachers",
            call([sys.executable, "tools/pdf.py"], [sys.executable, "tools/figures.py"],
                 [*PYTEST, *WHOLE_BOOK])),
    "links": ("the links within the book", call([sys.executable, "tools/check_links.py", "_build/html"])),
    "browser": ("the pages in a browser", call([*PYTEST, *SPREAD, "worksteal", "-m", "not alone", "tests/browser"],
                     [*PYTEST, "-m", "alone", "tests/browser"])),
}  # fmt: skip
WITH_DATA = {"unit", "devices", "chapters", "fashion", "digits", "seeds"}
WHICH_DATA = """
import pathlib, sys, ffutils, ffutils.files
if pathlib.Path(ffutils.__file__).resolve().parents[1] != pathlib.Path(sys.argv[1]):
    sys.exit(f"ffutils comes from {ffutils.__file__}, not from this folder: remove .venv and set it up again")
print(ffutils.load_dataset()[0])
print(ffutils.files.data_folder())
"""
NOT_THERE = 75
FIND_FASHION = f"""
import sys, ffutils.files
try:
    ffutils.files.dataset_root("fashion")
except (FileNotFoundError, ConnectionError) as error:
    print(error)
    sys.exit({NOT_THERE})
"""


def environment():
    """This process's environment without what would change a result.

    FF_STRICT makes a chapter fail where a claim of its text differs from the run.
    """
    changing = {
        "MPLBACKEND",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PYTHONWARNINGS",
        "PYTEST_ADDOPTS",
        "PYTEST_PLUGINS",
    }
    clean = {name: value for name, value in os.environ.items() if name not in changing}
    ours = {"FF_STRICT": "1", "JUPYTER_PREFER_ENV_PATH": "1", "PYTHONUNBUFFERED": "1"}
    return clean | ours


def find_data(env):
    """The data set that the chapters will have, "mnist" or "digits", and the folder that MNIST lies in.

    It is fetched here, once, where that is possible.
    """
    found = subprocess.run(
        [sys.executable, "-c", WHICH_DATA, str(ROOT)],
        cwd=TOOLS,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    )
    if found.returncode:
        sys.exit("No data set, so nothing was tested: see the message above.")
    return found.stdout.splitlines()[-2:]


def arguments(words):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"of {', '.join(STEPS)}")  # fmt: skip
    parser.add_argument(
        "--since",
        metavar="REF",
        default=os.environ.get("SINCE"),
        help="re-run the chapters that changed since this commit alone (or SINCE=REF)",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        default=os.environ.get("ALL", "") not in ("", "0"),
        help="every chapter on the digits and on Fashion-MNIST, too (or ALL=1)",
    )
    chosen = parser.parse_args(words)
    unknown = [name for name in chosen.steps if name not in STEPS]
    if unknown:
        parser.error(
            f"unknown step {', '.join(unknown)}: expected some of {', '.join(STEPS)}"
        )
    return chosen


def main(words):
    chosen = arguments(words)
    names = [name for name in STEPS if name in chosen.steps or not chosen.steps]
    began, env, data = time.monotonic(), environment(), None
    if WITH_DATA.intersection(names):
        data, folder = find_data(env)
        print(f"Data set: {data}", flush=True)
        # Every chapter takes the same, and none asks the network again.
        env["FF_DATASET"] = data
        if data == "mnist":
            env["FF_DATA"] = folder
    job = Job(env, data, chosen.since, chosen.all)
    report = []
    for name in names:
        what, run = STEPS[name]
        print(f"\n=== {name}: {what}", flush=True)
        started = time.monotonic()
        verdict = {True: "passed", False: "FAILED", None: "left out"}[run(job)]
        took = time.monotonic() - started
        report.append(f"{verdict:<10}{name:<11}{took:6.0f} s")
        print(f"=== {name}: {verdict} after {took:.0f} s", flush=True)
    failed = sum(line.startswith("FAILED") for line in report)
    print("\n" + "\n".join(report))
    print(
        f"{failed or 'no'} step{'s' * (failed != 1)} failed; {time.monotonic() - began:.0f} s in all "
        f"on {cpu_count()} core{'s' * (cpu_count() != 1)}; data set: {data or 'none needed'}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
