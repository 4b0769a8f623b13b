"""Run the chapters and store their outputs: python tools/execute.py [--all] [CHAPTER …]

First, `make sync` writes the definitions that they show. Without names, those chapters run
whose code, or the code that they use, changed since their outputs were stored. They run on
MNIST, each in a fresh kernel, one on each core with one thread; a chapter that times itself
runs alone. A chapter is only written when it ran to its end and its outputs hold nothing of
this machine.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from ffutils.files import data_folder
from tools import sync
from tools.chapters import (
    LIMIT,
    ROOT,
    chapter_files,
    fingerprint,
    is_old,
    output_problems,
    read,
    seconds,
    side_by_side,
)

WIDGET = "application/vnd.jupyter.widget-view+json"


def run(notebook, folder):
    """Execute a notebook in a fresh kernel in a folder; carriage returns collapse."""
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(
        notebook,
        timeout=1200,
        kernel_name="python3",
        resources=resources,
        coalesce_streams=True,
    ).execute()


def clean(notebook):
    """Remove what differs from run to run and says nothing.

    That is timestamps, widgets and the version of Python.
    """
    notebook.metadata = {
        "kernelspec": {
            "display_name": "Python 3",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
        "ffbook": notebook.metadata.get("ffbook", {}),
    }
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [
                output
                for output in cell.outputs
                if WIDGET not in output.get("data", {})
            ]
            for output in cell.outputs:
                output.get("metadata", {}).pop("execution", None)


def execute(path, root=ROOT):
    """Re-run one chapter and store it.

    Raises CellExecutionError or ValueError, and then leaves the old file as it was.
    """
    notebook, started = nbformat.read(path, as_version=4), time.monotonic()
    # Before the run: the source may change meanwhile.
    stamp = {"fingerprint": fingerprint(notebook, root), "dataset": "mnist"}
    run(notebook, path.parent)
    stamp["seconds"] = round(time.monotonic() - started)
    clean(notebook)
    problems = output_problems(notebook)
    if problems:
        raise ValueError("its outputs cannot be stored:\n  " + "\n  ".join(problems))
    notebook.metadata["ffbook"] = stamp
    nbformat.validate(notebook)
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    os.replace(unfinished, path)


def find(name):
    """The chapter that a name means: 03, 03_topic or chapters/03_topic.ipynb."""
    found = [
        path
        for path in chapter_files()
        if path.stem == Path(name).stem or path.stem.startswith(f"{name}_")
    ]
    if len(found) != 1:
        stems = ", ".join(path.stem for path in chapter_files())
        raise SystemExit(f"no chapter is called {name!r}: expected one of {stems}")
    return found[0]


def execute_apart(path, threads):
    """`execute` in a process of its own, which has the threads that it is given.

    Returns:
        None, or what went wrong.
    """
    few = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    ended = subprocess.run(
        [sys.executable, __file__, "--store", path],
        env=os.environ | few,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    return ended.stderr.strip() or "it ended at once" if ended.returncode else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--all", action="store_true", help="also those whose outputs are up to date"
    )
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)  # execute_apart
    parser.add_argument(
        "chapters",
        nargs="*",
        help="such as 03 or chapters/03_normalized_relu_layers.ipynb",
    )
    args = parser.parse_args()
    if args.store:
        try:
            return execute(args.store)
        except (CellExecutionError, ValueError) as error:
            sys.exit(str(error))
    if sync.main():
        sys.exit("nothing was run")
    # These would change what the kernels show.
    for name in ("MPLBACKEND", "PYTHONWARNINGS", "PYTHONSTARTUP"):
        os.environ.pop(name, None)
    os.environ.update(FF_DATASET="mnist", FF_STRICT="1", JUPYTER_PREFER_ENV_PATH="1")
    # The one page would otherwise download a copy of its own.
    os.environ.setdefault("FF_DATA", str(data_folder()))
    # It may announce its font cache: here, and not in a chapter.
    subprocess.run([sys.executable, "-c", "import matplotlib.pyplot"], check=True)

    chosen, failed = [], []
    for path in [find(name) for name in args.chapters] or chapter_files():
        if args.all or args.chapters or is_old(read(path)):
            chosen.append(path)
        else:
            print(f"{path.stem}: up to date")
    print(f"to run: {', '.join(path.stem for path in chosen) or 'nothing'}", flush=True)
    for path, problem in side_by_side(chosen, execute_apart):
        if problem:
            print(f"{path.stem}: NOT stored: {problem}", file=sys.stderr, flush=True)
            failed.append(path.stem)
            continue
        took = seconds(path)
        slow = f"; it should take {LIMIT} s at most" if took > LIMIT else ""
        print(f"{path.stem}: stored after {took} s{slow}", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
