"""The book's machinery: what makes outputs old, what may not be stored, what a change of address touches."""

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from tools import execute, repository
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


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_fingerprint_is_the_same_in_other_versions_of_python(version):
    python = shutil.which(f"python{version}")
    if (
        python is None
        or subprocess.run([python, "-c", ""], capture_output=True).returncode
    ):
        pytest.skip(f"no Python {version} here")
    cell = "from ffutils import plots, train\nfrom ffutils.prediction import predict\nprint(f'{1:>{5}}')"
    script = f"from tools.chapters import *; print(fingerprint({{'cells': [{{'cell_type': 'code', 'source': {cell!r}, 'metadata': {{}}}}]}}))"
    found = subprocess.run(
        [python, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == fingerprint(notebook(code(cell)))


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


def stored(book, *cells):
    path = book / "chapters" / "02_two.ipynb"
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
