"""The book's machinery: what makes outputs old, what may not be stored, what a change of address touches."""

import copy
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import nbformat
import pytest
import torch
from nbclient.exceptions import CellExecutionError

from tools import chapters, check, execute, repository
from tools.chapters import ROOT, fingerprint, is_old, output_problems

URL = "https://github.com/someone-else/another.name"


def code(text, *tags, outputs=()):
    return nbformat.v4.new_code_cell(
        text, metadata={"tags": list(tags)}, outputs=list(outputs)
    )


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=list(cells))


def stream(text, name="stdout"):
    return nbformat.v4.new_output("stream", text=text, name=name)


@pytest.fixture
def book(tmp_path):
    """A book in miniature: two modules, a figure module, one chapter."""
    (tmp_path / "ffutils").mkdir()
    (tmp_path / "ffutils" / "__init__.py").write_text("from ffutils.second import b\n")
    (tmp_path / "ffutils" / "first.py").write_text(
        '"""First."""\ndef a(x):\n    """Doc."""\n    return x\n'
    )
    (tmp_path / "ffutils" / "second.py").write_text(
        "from ffutils.first import a\ndef b(x):\n    return a(x)\n"
    )
    (tmp_path / "ffutils" / "third.py").write_text("def c(x):\n    return x\n")
    (tmp_path / "ffutils" / "plots.py").write_text("def plot():\n    pass\n")
    (tmp_path / "chapters").mkdir()
    (tmp_path / "_config.yml").write_text(
        "repository:\n  url: https://github.com/an-owner/a-book  # here\nhtml:\n  baseurl: https://an-owner.github.io/a-book/\n"
    )
    (tmp_path / "README.md").write_text(
        "https://github.com/an-owner/a-book/actions https://colab.research.google.com/github/old/stale/blob/main/x.ipynb "
        "https://github.com/loeweX/Forward-Forward https://an-owner.github.io/a-book/ make repository URL=https://github.com/owner/name\n"
    )
    chapter = notebook(
        nbformat.v4.new_markdown_cell("# Title"),
        nbformat.v4.new_markdown_cell("", metadata={"tags": ["remove-cell"]}),
        code("", "remove-cell", "colab-bootstrap"),
        code(
            "from ffutils.second import b\nfrom ffutils import plots\n%matplotlib inline",
            outputs=[stream("an-owner/a-book")],
        ),
    )
    nbformat.write(chapter, tmp_path / "chapters" / "01_one.ipynb")
    return tmp_path


# ---- fingerprint

LAYERS = '''
"""About layers."""

from __future__ import annotations

from collections.abc import Callable
from math import log as logarithm

import torch

from ffutils.checks import check_images
from ffutils.progress import report

SCALE = 30.0
OTHER = 7


def act(x: torch.Tensor, power: int = 2) -> torch.Tensor:
    """Act."""
    check_images(x)
    if x is None:
        raise ValueError(f"x is {x}; try another")
    report(x)  # a line
    return helper(x) ** power


def helper(x):
    size: int = 3

    def inner(y):
        """Inner."""
        return SCALE * y

    return size * inner(x)


class Net:
    width: int = 5

    def forward(self, x):
        return logarithm(x) + self.width


def unused(x):
    return OTHER * x
'''


@pytest.fixture
def layers(book):
    """The book with a larger module; the chapter that uses it, and how to change it."""
    path = book / "ffutils" / "layers.py"
    path.write_text(LAYERS)
    for name in ("checks", "progress", "plots", "claims", "results"):
        (book / "ffutils" / f"{name}.py").write_text("def report(x):\n    print(x)\n")
    chapter = notebook(code("from ffutils.layers import Net, act\nNet, act(2)"))

    def same_after(before, after, chapter=chapter, file="layers.py"):
        path, old = book / "ffutils" / file, fingerprint(chapter, book)
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))
        return fingerprint(chapter, book) == old

    return same_after


@pytest.mark.parametrize(
    "before, after",
    [
        ("x is {x}; try another", "x must not be {x}"),  # an error message
        ('"""Act."""', '"""Act, in other words."""'),
        ('"""Inner."""', '"""The inner one."""\n        # and a remark'),
        ('"""About layers."""', ""),
        ("# a line", "# another remark"),
        ("return SCALE * y", "return (\n            SCALE * y\n        )"),
        ("x: torch.Tensor, power: int = 2", "x, power=2"),
        (") -> torch.Tensor:", "):"),
        ("size: int = 3", "size = 3"),
        ("width: int = 5", "width: float = 5"),
        ("from __future__ import annotations", ""),
        ("from collections.abc import Callable", "from typing import Any"),
        ("    check_images(x)\n", ""),
        ("check_images(x)", "check_images(x)\n    warn_of_ties(x)"),
        ("check_images(x)", "for row in x:\n        check_row(row)"),
        ("check_images(x)", "if x:\n        checks.check_labels(x)"),
        ("check_images(x)", "warnings.warn(f'{x}')"),
        ("return OTHER * x", "return OTHER + x"),  # a function that is not used
        ("OTHER = 7", "OTHER = 8"),
        ("def unused(x):", "def another(x):"),
        ("import torch\n", "import torch\nimport os\n"),
    ],
)
def test_what_can_change_no_number_makes_no_chapter_old(layers, before, after):
    assert layers(before, after)


@pytest.mark.parametrize("name", ["checks", "progress", "plots", "claims", "results"])
def test_what_only_checks_prints_or_draws_makes_no_chapter_old(layers, name):
    cell = f"from ffutils import {name}\nfrom ffutils.layers import act\n{name}"
    assert layers("print(x)", "print(-x)", notebook(code(cell)), f"{name}.py")


@pytest.mark.parametrize(
    "before, after",
    [
        ("SCALE = 30.0", "SCALE = 10.0"),  # a constant of a function that act calls
        ("SCALE = 30.0", "SCALE: float = 10.0"),
        ("power: int = 2", "power: int = 3"),  # a default argument
        ("size: int = 3", "size: int = 4"),
        ("width: int = 5", "width: int = 6"),
        ("return SCALE * y", "return SCALE + y"),
        ("log as logarithm", "log2 as logarithm"),
        ("raise ValueError", "raise TypeError"),
        ("if x is None:", "if x is not None:"),
        ("def act", "@torch.no_grad()\ndef act"),
        ("class Net:", "class Net(torch.nn.Module):"),
        ("OTHER = 7", "torch.set_num_threads(1)"),  # runs, whatever is imported
        ("OTHER = 7", "if True:\n    SCALE = 31.0"),
        ("OTHER = 7", "SCALE += 1"),
        ("OTHER = 7", "Net.width = 6"),
    ],
)
def test_what_can_change_a_number_makes_a_chapter_old(layers, before, after):
    assert not layers(before, after)


@pytest.mark.parametrize(
    "cell, same",
    [
        ("from ffutils.layers import Net", True),
        ("from ffutils.layers import unused", False),
        ("from ffutils.layers import unused as used", False),
        ("from ffutils.layers import *", False),
        ("from ffutils import layers\nlayers.act(1)", False),  # the whole module
        ("import ffutils.layers\nffutils.layers.act(1)", False),
        ("import ffutils.layers as layers\nlayers.act(1)", False),
        ("def f():\n    from ffutils.layers import unused", False),
        ("%matplotlib inline\nfrom ffutils.second import b", True),
    ],
)
def test_only_what_is_imported_counts(layers, cell, same):
    assert layers("OTHER = 7", "OTHER = 8", notebook(code(cell))) is same


def test_import_of_the_package_covers_every_module_that_it_imports(layers):
    chapter = notebook(code("import ffutils\nffutils.b(1)"))
    added = "\ndef unseen():\n    return 1\n"
    assert layers("OTHER = 7", "OTHER = 8", chapter)  # nothing leads there
    assert not layers("return a(x)\n", f"return a(x)\n{added}", chapter, "second.py")


@pytest.mark.parametrize(
    "before, after, same",
    [
        ("def f(x):", 'def f(x: int = 1):\n    """Doc."""', False),
        ("def f(x):", 'def f(x: int) -> int:\n    """Doc."""  # a remark', True),
        ("'no'", "'not this'", True),
        ("f(1)", "f(2)", False),
        ("f(1)", "f(1)\n'shown'", False),
        ("f(1)", "check_1(f)\nf(1)", False),  # one of the reader's own, which prints
        ("import torch", "import torch\nfrom typing import Any", True),
    ],
)
def test_of_a_cell_counts_what_can_change_its_output(book, before, after, same):
    text = (
        "import torch\ndef f(x):\n    if x < 0:\n        raise ValueError('no')\nf(1)"
    )
    assert before in text
    changed = notebook(code(text.replace(before, after)))
    equal = fingerprint(changed, book) == fingerprint(notebook(code(text)), book)
    assert equal is same


@pytest.mark.parametrize(
    "file, before, after, same",
    [
        ("first.py", "return x", "return -x", False),  # reached through second.py
        ("second.py", "a(x)", "a(a(x))", False),
        ("third.py", "return x", "return -x", True),  # not imported
        ("plots.py", "pass", "return 1", True),
        ("__init__.py", "second", "first", True),
    ],
)
def test_fingerprint_follows_the_modules(book, file, before, after, same):
    chapter = json.loads((book / "chapters" / "01_one.ipynb").read_text())
    path, old = book / "ffutils" / file, fingerprint(chapter, book)
    path.write_text(path.read_text().replace(before, after))
    assert (fingerprint(chapter, book) == old) is same


def test_fingerprint_follows_the_code_cells(book):
    chapter = json.loads((book / "chapters" / "01_one.ipynb").read_text())
    changed = copy.deepcopy(chapter)
    changed["cells"][0]["source"] = "# Another title"
    changed["cells"][2]["source"] = "import sys"  # the bootstrap
    changed["cells"][3]["metadata"]["mystnb"] = {"image": {"alt": "words"}}
    assert fingerprint(changed, book) == fingerprint(chapter, book)
    changed["cells"][3]["source"] = (
        "from ffutils.second import (  # laid out anew\n    b,\n)\n"
        "from ffutils import plots\n%matplotlib inline"
    )
    assert fingerprint(changed, book) == fingerprint(chapter, book)
    changed["cells"][3]["source"] = "from ffutils.second import b\nb(2)"
    assert fingerprint(changed, book) != fingerprint(chapter, book)


def test_fingerprint_of_a_name_from_the_package_covers_what_it_leads_to(book):
    chapter = notebook(code("from ffutils import b"))
    old = fingerprint(chapter, book)
    (book / "ffutils" / "third.py").write_text("def c(x):\n    return 0\n")
    assert fingerprint(chapter, book) == old
    (book / "ffutils" / "first.py").write_text("def a(x):\n    return 0\n")
    assert fingerprint(chapter, book) != old


def test_fingerprint_is_the_same_in_every_version_of_python(layers, book):
    """CI runs this on several, and a chapter that is old in one must be so in all."""
    cell = "from ffutils.layers import *\nprint(f'{act(1):>{5}}')\nlambda *, x=1: x"
    assert fingerprint(notebook(code(cell)), book) == "49d4a7bae2c34405"


def test_fingerprint_follows_the_modules_of_experiments(book):
    folder = book / "experiments" / "trials"
    folder.mkdir(parents=True)
    (book / "experiments" / "__init__.py").write_text("SEEDS = 1\n")
    (folder / "shared.py").write_text(
        "from experiments import SEEDS\nfrom ffutils.first import a\ndef d(x):\n    return a(SEEDS)\n"
    )
    (folder / "one.py").write_text(
        "from experiments.trials import shared\ndef trial():\n    return shared.d(1)\n"
    )
    user = notebook(code("from experiments.trials.one import trial"))
    for path, before, after, same in [
        (folder / "one.py", "d(1)", "d(2)", False),
        (folder / "one.py", "def trial", "def other():\n    pass\n\ndef trial", True),
        (folder / "shared.py", "a(SEEDS)", "a(-SEEDS)", False),
        (book / "experiments" / "__init__.py", "1", "2", False),
        (book / "ffutils" / "first.py", "return x", "return -x", False),
        (book / "ffutils" / "third.py", "return x", "return -x", True),
    ]:
        old = fingerprint(user, book)
        assert before in path.read_text()
        path.write_text(path.read_text().replace(before, after))
        assert (fingerprint(user, book) == old) is same, (path, after)


def test_outputs_without_a_stamp_or_from_the_digits_are_old(book):
    chapter = notebook(code("1"))
    assert is_old(chapter, book)
    chapter.metadata["ffbook"] = {
        "fingerprint": fingerprint(chapter, book),
        "dataset": "digits",
    }
    assert is_old(chapter, book)
    chapter.metadata["ffbook"]["dataset"] = "mnist"
    assert not is_old(chapter, book)


# ---- what changed since a commit


def git(folder, *arguments):
    subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True)


@pytest.fixture
def history(book):
    """The book as a commit, with stamped chapters; how to change it; what changed."""
    (book / "ffutils" / "results.py").write_text("def load_results(name):\n    pass\n")
    (book / "ffutils" / "stored_results").mkdir()
    for name in ("ablation", "rivals"):
        (book / "ffutils" / "stored_results" / f"{name}.json").write_text("{}")
    cells = {
        "01_one": "from ffutils.second import b\nprint(b(1))",
        "02_two": 'from ffutils.third import c\nload_results("ablation")\nc(1)',
    }
    for name, text in cells.items():
        chapter = notebook(
            nbformat.v4.new_markdown_cell("# Title"),
            code("import sys", "colab-bootstrap"),
            code(text, outputs=[stream("1\n")]),
        )
        chapter.metadata["ffbook"] = {"fingerprint": fingerprint(chapter, book)}
        nbformat.write(chapter, book / "chapters" / f"{name}.ipynb")
    for name in ("requirements.txt", "tools/check.py", "tools/book.py"):
        (book / name).parent.mkdir(exist_ok=True)
        (book / name).write_text("# 1\n")
    git(book, "init", "-q")
    git(book, "add", ".")
    git(book, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one")

    def changed(ref="HEAD"):
        paths, why = chapters.changed_since(ref, book)
        return [path.stem for path in paths], why

    return changed


def test_nothing_changed_since_a_commit(history):
    assert history() == ([], "Chapters that changed since HEAD: none")


@pytest.mark.parametrize(
    "file, before, after, expected",
    [
        ("chapters/01_one.ipynb", "# Title", "# Another", []),
        ("chapters/01_one.ipynb", "import sys", "import os", []),  # the bootstrap
        ("chapters/01_one.ipynb", "b(1)", "b(2)", ["01_one"]),
        ("chapters/01_one.ipynb", "b(1)", "b( 1 )", ["01_one"]),  # a cell's text
        ("chapters/01_one.ipynb", '"1\\n"', '"2\\n"', ["01_one"]),  # an output
        ("ffutils/first.py", "return x", "return -x", ["01_one"]),
        ("ffutils/first.py", '"""Doc."""', '"""More."""', []),
        ("ffutils/third.py", "return x", "return -x", ["02_two"]),
        ("ffutils/plots.py", "pass", "return 1", ["01_one", "02_two"]),
        ("ffutils/stored_results/ablation.json", "{}", "[]", ["02_two"]),
        ("ffutils/stored_results/rivals.json", "{}", "[]", []),
        ("requirements.txt", "1", "2", ["01_one", "02_two"]),
        ("tools/check.py", "1", "2", ["01_one", "02_two"]),
        ("tools/book.py", "1", "2", []),
        ("README.md", "stale", "fresh", []),
    ],
)
def test_what_changed_since_a_commit(history, book, file, before, after, expected):
    text = (book / file).read_text()
    assert before in text
    (book / file).write_text(text.replace(before, after))
    found, why = history()
    assert found == expected
    assert all(name in why for name in expected) or f"{file} changed" in why
    git(book, "add", ".")  # and the same once it is a commit
    git(book, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "two")
    assert history("HEAD~1")[0] == expected


def test_a_new_chapter_changed_and_one_that_is_gone_did_not(history, book):
    (book / "chapters" / "01_one.ipynb").rename(book / "chapters" / "03_three.ipynb")
    assert history()[0] == ["03_three"]


@pytest.mark.parametrize("ref", ["no-such-branch", "0" * 40, "--help", ""])
def test_since_an_unknown_commit_everything_changed(history, ref):
    found, why = history(ref)
    assert found == ["01_one", "02_two"]
    assert "no commit" in why and "all chapters" in why


def test_without_a_history_everything_changed(book):
    paths, why = chapters.changed_since("HEAD", book)
    assert [path.stem for path in paths] == ["01_one"]
    assert "no commit" in why


# ---- side by side


@pytest.fixture
def five(tmp_path, monkeypatch):
    """Five chapters with their seconds, one of which times itself; two cores."""
    monkeypatch.setattr(chapters, "ALONE", {"b"})
    monkeypatch.setattr(chapters, "cpu_count", lambda: 2)
    paths = []
    for name, took in (("a", 10), ("b", 99), ("c", None), ("d", 30), ("e", 20)):
        chapter = notebook(code("1"))
        chapter.metadata["ffbook"] = {"seconds": took} if took else {}
        nbformat.write(chapter, tmp_path / f"{name}.ipynb")
        paths.append(tmp_path / f"{name}.ipynb")
    return paths


def test_chapters_run_two_at_a_time_the_longest_first_and_some_alone(five):
    began, running, most = [], set(), {}
    lock, both = threading.Lock(), threading.Barrier(2)

    def run(path, threads):
        with lock:
            began.append((path.stem, threads))
            running.add(path.stem)
            most[path.stem] = set(running)
        if path.stem in "cd":  # the first two: each waits until the other runs
            both.wait(timeout=30)
        with lock:
            running.remove(path.stem)
        return path.stem.upper()

    ended = dict(chapters.side_by_side(five, run))
    assert {path.stem: value for path, value in ended.items()} == {
        name: name.upper() for name in "abcde"
    }
    assert sorted(began[:2]) == [("c", 1), ("d", 1)]  # unknown, and the longest
    assert began[2:] == [("e", 1), ("a", 1), ("b", None)]
    assert max(map(len, most.values())) == 2 and most["b"] == {"b"}


def test_after_an_interruption_no_other_chapter_begins(five):
    began = []

    def run(path, threads):
        began.append(path.stem)
        if path.stem == "c":
            raise KeyboardInterrupt
        time.sleep(0.5)

    with pytest.raises(KeyboardInterrupt):
        list(chapters.side_by_side(five, run))
    assert "b" not in began and len(began) < 5


def test_the_cores_are_those_that_this_process_may_use():
    count = "from tools.chapters import cpu_count; print(cpu_count())"
    command = [sys.executable, "-c", count]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert 1 <= int(found.stdout) <= os.cpu_count()
    if hasattr(os, "sched_setaffinity"):
        one = min(os.sched_getaffinity(0))
        pinned = f"import os; os.sched_setaffinity(0, {{{one}}}); {count}"
        command = [sys.executable, "-c", pinned]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert found.stdout == "1\n"


# ---- check


@pytest.fixture
def small_check(book, monkeypatch):
    """tools/check.py on the miniature, and a job for it."""
    monkeypatch.setattr(check, "ROOT", book)
    monkeypatch.setattr(check, "REPORTS", book / "_build" / "reports")
    monkeypatch.setattr(check, "chapter_files", lambda: chapters.chapter_files(book))
    monkeypatch.setattr(
        check, "changed_since", lambda ref: chapters.changed_since(ref, book)
    )
    (book / "chapters" / "01_one.ipynb").unlink()
    return check.Job(check.environment(), "mnist", None, False)


def test_a_chapter_that_fails_is_shown_and_stops_no_other(small_check, book, capsys):
    stored(book, code("assert False, 'the sum is wrong'"), code("1"), name="02_two")
    show = "import os\nprint(os.environ['OMP_NUM_THREADS'], os.environ['FF_DATASET'])"
    printed = stream("1 mnist\n")
    sound = code(show, "nbval-check-output", outputs=[printed])
    sound.execution_count = 1
    stored(book, sound, name="03_three")
    assert check.chapters(small_check) is False
    said = capsys.readouterr().out
    assert "the sum is wrong" in said
    assert re.search(r"^FAILED +02_two +\d+ s$", said, re.MULTILINE)
    assert re.search(r"^passed +03_three +\d+ s$", said, re.MULTILINE)
    reports = book / "_build" / "reports" / "chapters"
    assert "the sum is wrong" in (reports / "02_two.txt").read_text()
    assert "1 passed" in (reports / "03_three.txt").read_text()


def chosen_chapters(step, job, monkeypatch):
    """What a step would run, and on which data set."""
    run = []
    monkeypatch.setattr(
        check,
        "rerun",
        lambda step, paths, dataset, job: run.append(
            ([path.stem for path in paths], dataset)
        ),
    )
    verdict = step(job)
    return run[0] if run else verdict


def test_which_chapters_run_on_which_data_set(small_check, book, monkeypatch):
    names = ["00_one_page", "01_one", "05_five", "06_six", "13_time"]
    for name in names:
        stored(book, code("1"), name=name)

    def chosen(step, **changes):
        return chosen_chapters(step, small_check._replace(**changes), monkeypatch)

    assert chosen(check.chapters) == (names, "mnist")
    assert chosen(check.chapters, data="digits") == (names[1:], "digits")
    assert chosen(check.digits) == (["01_one", "05_five", "13_time"], "digits")
    assert chosen(check.digits, everything=True) == (names[1:], "digits")
    assert chosen(check.digits, data="digits") is None


def test_other_seeds_are_for_the_night(small_check, book, monkeypatch):
    for name in ("00_one_page", "01_one", "05_five"):
        stored(book, code("1"), name=name)
    assert chosen_chapters(check.seeds, small_check, monkeypatch) is None
    job = small_check._replace(everything=True)
    chosen = chosen_chapters(check.seeds, job, monkeypatch)
    assert chosen == (["01_one", "05_five"], "mnist")


def test_other_seeds_draw_other_numbers():
    program = "import torch; torch.manual_seed(1); print(torch.rand(1).item())"

    def drawn(**changes):
        env = os.environ | {"PYTHONPATH": str(check.OTHER_SEEDS)} | changes
        return subprocess.run(
            [sys.executable, "-c", program],
            env=env, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    expected = torch.rand(1, generator=torch.Generator().manual_seed(101)).item()
    assert float(drawn(FF_SEEDS="100")) == expected
    assert float(drawn(FF_SEEDS="")) != expected


def test_fashion_takes_a_chapter_that_is_ready_for_it(small_check, book, monkeypatch):
    monkeypatch.setattr(check, "FIND_FASHION", "")

    def chosen(**changes):
        job = small_check._replace(**changes)
        return chosen_chapters(check.fashion, job, monkeypatch)

    stored(book, code("1"), name="01_one")
    assert chosen() is False  # none is: that is not a pass
    for name in ("02_two", "03_three"):
        stored(book, code('BANDS = {"mnist": 1, "fashion": 2}'), name=name)
    assert chosen() == (["02_two"], "fashion")
    assert chosen(everything=True) == (["02_two", "03_three"], "fashion")
    monkeypatch.setattr(check, "FIND_FASHION", f"raise SystemExit({check.NOT_THERE})")
    assert chosen() is None
    assert chosen(everything=True) is False
    monkeypatch.setattr(check, "FIND_FASHION", "raise OSError('damaged')")
    assert chosen() is False


@pytest.mark.parametrize(("folder", "code"), [("", check.NOT_THERE), ("raw", 1)])
def test_missing_fashion_files_are_told_from_damaged_ones(tmp_path, folder, code):
    raw = tmp_path / "FashionMNIST" / folder
    raw.mkdir(parents=True)
    if folder:
        for name in ("train-images", "train-labels", "t10k-images", "t10k-labels"):
            (raw / f"{name}-idx{1 if 'labels' in name else 3}-ubyte").write_text("no")
    ended = subprocess.run(
        [sys.executable, "-c", check.FIND_FASHION],
        cwd=ROOT,
        env=os.environ | {"FF_DATA": str(tmp_path)},
        capture_output=True,
    )
    assert ended.returncode == code


def test_since_a_commit_only_what_changed_is_rerun(history, small_check, book, capsys):
    job = small_check._replace(since="HEAD")
    path = book / "chapters" / "02_two.ipynb"
    assert check.chapters(job) is True
    assert "Chapters that changed since HEAD: none" in capsys.readouterr().out
    path.write_text(path.read_text().replace("c(1)", "1 / 0"))
    assert check.chapters(job) is False
    said = capsys.readouterr().out
    assert "02_two" in said and "01_one" not in said


def test_steps_go_on_after_a_failure_and_a_table_ends_the_run(monkeypatch, capsys):
    steps = {
        "one": ("fails", check.call([sys.executable, "-c", "exit(3)"])),
        "two": ("passes", check.call([sys.executable, "-c", "import os; os.environ['EXTRA']"], EXTRA="1")),
        "three": ("does nothing", lambda job: None),
        "four": ("is not there", check.call(["no-such-program"])),
    }  # fmt: skip
    monkeypatch.setattr(check, "STEPS", steps)
    assert check.main([]) == 1
    said = capsys.readouterr().out
    assert "no-such-program is missing: run make test" in said
    table = said.split("\n\n")[-1].splitlines()
    assert [line.split()[:2] for line in table[:2]] == [
        ["FAILED", "one"],
        ["passed", "two"],
    ]
    assert table[2].startswith("left out  three") and table[3].startswith("FAILED")
    assert table[4].startswith("2 steps failed; ")
    assert check.main(["two", "three"]) == 0


@pytest.mark.parametrize(
    "words, variables, since, everything",
    [
        ([], {}, None, False),
        ([], {"SINCE": "", "ALL": ""}, None, False),
        ([], {"SINCE": "origin/main", "ALL": "1"}, "origin/main", True),
        (["--since", "HEAD~2"], {"SINCE": "origin/main"}, "HEAD~2", False),
        (["--all"], {"ALL": "0"}, None, True),
    ],
)
def test_check_takes_its_options_from_words_or_the_environment(
    monkeypatch, words, variables, since, everything
):
    for name in ("SINCE", "ALL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    chosen = check.arguments(words)
    assert (chosen.since or None, chosen.all) == (since, everything)


def test_check_refuses_a_step_that_it_does_not_know(capsys):
    with pytest.raises(SystemExit):
        check.main(["lint", "untit"])
    assert (
        "unknown step untit: expected some of lint, format" in capsys.readouterr().err
    )


# ---- outputs


@pytest.mark.parametrize(
    "text",
    [
        "in /home/someone/book/chapters/x.py",
        "saved to /tmp/x",
        "C:\\Users\\someone",
        "<object at 0x7f12345678>",
        "/tmp/ipykernel_123/1.py:3: UserWarning: no",
        "File site-" + "packages/torch",
    ],
)
def test_traces_of_a_machine_are_refused(text):
    assert output_problems(notebook(code("x", outputs=[stream(text)])))
    shown = nbformat.v4.new_output("display_data", data={"text/html": f"<b>{text}</b>"})
    assert output_problems(notebook(code("x", outputs=[shown])))


@pytest.mark.parametrize(
    "text",
    [
        "3.4 % / 2.1 %",
        "60,000/10,000 images",
        "see https://arxiv.org/abs/2212.13345/v1/x",
        "1/2/3",
    ],
)
def test_ordinary_text_is_accepted(text):
    assert not output_problems(notebook(code("x", outputs=[stream(text)])))


def test_pictures_are_not_searched():
    html = '<div><img alt="x" src="data:image/png;base64,AAAA/tmp/bbb/ccc/ddd/"></div>'
    shown = nbformat.v4.new_output(
        "display_data", data={"text/html": html, "image/png": "AA/home/bb/cc/"}
    )
    assert not output_problems(notebook(code("x", outputs=[shown])))


def test_stderr_and_errors_are_refused():
    assert output_problems(notebook(code("x", outputs=[stream("look out", "stderr")])))
    error = nbformat.v4.new_output(
        "error", ename="ValueError", evalue="no", traceback=["/home/someone/x.py"]
    )
    assert output_problems(notebook(code("x", outputs=[error])))
    assert not output_problems(notebook(code("x", "raises-exception", outputs=[error])))


# ---- execute


def stored(book, *cells, name="02_two"):
    path = book / "chapters" / f"{name}.ipynb"
    nbformat.write(notebook(*cells), path)
    return path


def test_execute_stores_clean_outputs(book):
    path = stored(
        book,
        code(
            "import time\nfor i in range(3):\n    print(f'\\repoch {i}', end='')\nprint('\\rdone   ')"
        ),
        code("6 * 7"),
    )
    execute.execute(path, book)
    result = json.loads(path.read_text())
    first, second = result["cells"]
    assert "".join(first["outputs"][0]["text"]) == "done   \n"
    assert second["outputs"][0]["data"]["text/plain"] == ["42"]
    assert [first["execution_count"], second["execution_count"]] == [1, 2]
    assert "execution" not in first["metadata"]
    assert set(result["metadata"]) == {"kernelspec", "language_info", "ffbook"}
    assert not is_old(result, book)


def test_execute_first_writes_the_definitions_and_stops_where_it_cannot(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["execute.py"])
    monkeypatch.setattr(execute.sync, "main", lambda: 1)
    monkeypatch.setattr(execute, "execute", pytest.fail)
    with pytest.raises(SystemExit, match="nothing was run"):
        execute.main()


def test_execute_runs_a_chapter_apart_and_says_what_went_wrong(book):
    path = stored(book, code("import os\nprint(os.environ['OMP_NUM_THREADS'])"))
    assert execute.execute_apart(path, 1) is None
    result = json.loads(path.read_text())
    assert "".join(result["cells"][0]["outputs"][0]["text"]) == "1\n"
    assert chapters.seconds(path) < 60
    before = stored(book, code("raise KeyError('no such band')")).read_bytes()
    assert "no such band" in execute.execute_apart(path, None)
    assert path.read_bytes() == before


def test_execute_goes_on_after_a_chapter_that_fails(book, monkeypatch, capsys):
    new, failing = stored(book, code("1"), name="03_three"), stored(book, code("2"))
    for path, took in ((new, 7), (book / "chapters" / "04_four.ipynb", 200)):
        chapter = notebook(code("1"))
        chapter.metadata["ffbook"] = {"fingerprint": "", "seconds": took}
        nbformat.write(chapter, path)
    fresh = notebook(code("1"))
    stamp = {"fingerprint": fingerprint(fresh), "dataset": "mnist"}
    fresh.metadata["ffbook"] = stamp
    nbformat.write(fresh, book / "chapters" / "01_one.ipynb")
    monkeypatch.setattr(execute, "chapter_files", lambda: chapters.chapter_files(book))
    monkeypatch.setattr(execute.sync, "main", lambda: 0)
    monkeypatch.setattr(
        execute, "execute_apart", lambda path, _: "no" if path == failing else None
    )
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(sys, "argv", ["execute.py"])
    with pytest.raises(SystemExit, match="failed: 02_two"):
        execute.main()
    said = capsys.readouterr()
    assert "02_two: NOT stored: no" in said.err
    assert "01_one: up to date" in said.out
    assert "03_three: stored after 7 s\n" in said.out
    assert "04_four: stored after 200 s; it should take 120 s at most\n" in said.out


def test_execute_stores_no_widgets(book):
    path = stored(
        book,
        code("import ipywidgets\nipywidgets.interact(lambda i: print(i), i=(0, 3));"),
    )
    execute.execute(path, book)
    result = json.loads(path.read_text())
    assert result["cells"][0]["outputs"] == []
    assert "widgets" not in result["metadata"]


@pytest.mark.parametrize(
    "text, error",
    [
        ("1 / 0", CellExecutionError),
        ("import warnings; warnings.warn('no')", ValueError),
        ("import os; os.getcwd()", ValueError),
    ],
)
def test_execute_leaves_the_old_file_when_something_is_wrong(book, text, error):
    path = stored(book, code(text))
    before = path.read_bytes()
    with pytest.raises(error):
        execute.execute(path, book)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == []


def test_execute_leaves_the_old_file_when_interrupted(book):
    path = stored(
        book, code("open('running', 'w').close()\nimport time\ntime.sleep(60)")
    )
    before = path.read_bytes()
    script = "import pathlib, sys; from tools.execute import execute; execute(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))"
    process = subprocess.Popen(
        [sys.executable, "-c", script, path, book],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (path.parent / "running").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(timeout=60)
    assert (path.parent / "running").exists()
    assert path.read_bytes() == before


# ---- repository


def test_a_new_address_reaches_every_place_and_nothing_else(book):
    chapter = book / "chapters" / "01_one.ipynb"
    before = fingerprint(json.loads(chapter.read_text()), book)
    assert repository.main([URL], book) == 0
    assert (
        "url: https://github.com/someone-else/another.name  # here"
        in (book / "_config.yml").read_text()
    )
    assert (
        "https://someone-else.github.io/another.name/"
        in (book / "_config.yml").read_text()
    )
    readme = (book / "README.md").read_text()
    assert "an-owner" not in readme
    assert "old/stale" not in readme
    assert "loeweX/Forward-Forward" in readme
    assert "URL=https://github.com/owner/name" in readme
    changed = json.loads(chapter.read_text())
    assert (
        "colab.research.google.com/github/someone-else/another.name/blob/main/chapters/01_one.ipynb"
        in "".join(changed["cells"][1]["source"])
    )
    assert "git+https://github.com/someone-else/another.name@main" in "".join(
        changed["cells"][2]["source"]
    )
    assert "".join(changed["cells"][3]["outputs"][0]["text"]) == "an-owner/a-book"
    assert fingerprint(changed, book) == before
    files = {path: path.read_bytes() for path in book.rglob("*") if path.is_file()}
    assert repository.main(["--check"], book) == 0
    assert repository.main([URL + ".git"], book) == 0
    assert {
        path: path.read_bytes() for path in book.rglob("*") if path.is_file()
    } == files


def test_check_sees_what_is_out_of_line_and_writes_nothing(book):
    before = (book / "README.md").read_bytes()
    assert repository.main(["--check"], book) == 1
    assert (book / "README.md").read_bytes() == before


@pytest.mark.parametrize(
    "url",
    [
        "github.com/a/b",
        "https://github.com/a",
        "https://example.com/a/b",
        "https://github.com/a/b/c",
    ],
)
def test_a_bad_address_is_refused(book, url, capsys):
    assert repository.main([url], book) == 2
    assert "https://github.com/owner/name" in capsys.readouterr().err


def test_a_chapter_without_its_bootstrap_is_refused(book, capsys):
    nbformat.write(
        notebook(nbformat.v4.new_markdown_cell("# No")),
        book / "chapters" / "02_two.ipynb",
    )
    assert repository.main([], book) == 2
    assert "02_two.ipynb" in capsys.readouterr().err
