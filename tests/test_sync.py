"""`make sync`: what it cuts from a module's text, what it leaves, and where it writes."""

import json
from textwrap import dedent

import pytest

from tools import sync
from tools.chapters import ONE_PAGE, chapter_files, read, source


def shown(code, *names):
    nodes = sync.definitions(dedent(code))
    return sync.shown(nodes[name] for name in names or nodes)


def becomes(code, expected):
    assert shown(code) == dedent(expected).strip()


# ---- What it cuts


def test_docstrings_go_with_the_blank_line_after_them():
    becomes(
        '''
        def f(x):
            """One line."""

            # a remark
            return x


        class A:
            """Several

            lines.
            """

            def g(self):
                r"""Raw."""
                text = """not a docstring"""
                return text
        ''',
        '''
        def f(x):
            # a remark
            return x


        class A:
            def g(self):
                text = """not a docstring"""
                return text
        ''',
    )


def test_annotations_go_and_defaults_stay():
    becomes(
        """
        def f(
            x: torch.Tensor,
            /,
            y: int | None = None,
            *rest: int,
            scale: float = 30.0,
            **more: str,
        ) -> tuple[torch.Tensor, dict[str, int]]:
            total: int = 0
            later: float
            later = total
            return later
        """,
        """
        def f(x, /, y=None, *rest, scale=30.0, **more):
            total = 0
            later = total
            return later
        """,
    )


def test_fields_of_a_class_keep_their_annotations():
    becomes(
        """
        class Split(NamedTuple):
            images: torch.Tensor
            labels: torch.Tensor = None

            def half(self) -> Split:
                n: int = 2
                return n
        """,
        """
        class Split(NamedTuple):
            images: torch.Tensor
            labels: torch.Tensor = None

            def half(self):
                n = 2
                return n
        """,
    )


def test_checks_and_warnings_go_with_their_own_remarks():
    becomes(
        """
        def f(x):
            # why this is checked
            check_images(x)  # here
            checks.check_labels(x)
            warn_of_ties(x)
            # why this is done
            y = check_kind(x)
            for row in x:
                check_row(row)
            if len(x) > 1:
                check_pairs(x)
            if y:
                check_y(y)
            else:
                y = 1
            checked(x)
            print(x)
            return y
        """,
        """
        def f(x):
            # why this is done
            y = check_kind(x)
            if y:
                pass
            else:
                y = 1
            checked(x)
            print(x)
            return y
        """,
    )


def test_what_becomes_empty_is_still_valid_python():
    becomes(
        '''
        class A:
            """Only words."""


        class B:
            def f(self):
                """Only words."""

            def g(self, x):
                check_images(x)

            def h(self, x): check_images(x)
        ''',
        """
        class A:
            pass


        class B:
            def f(self):
                pass

            def g(self, x):
                pass

            def h(self, x):
                pass
        """,
    )


def test_nested_definitions_are_cut_too():
    becomes(
        '''
        def outer(x: int) -> Callable:
            """Doc."""

            def inner(y: int = 1) -> int:
                """Doc."""
                check_images(y)
                return lambda z=2: x + y

            return inner
        ''',
        """
        def outer(x):
            def inner(y=1):
                return lambda z=2: x + y

            return inner
        """,
    )


# ---- What it leaves


def test_comments_decorators_and_layout_stay():
    becomes(
        """
        import torch

        # apart

        # its own
        @torch.no_grad()
        # between
        @named(
            "f",
        )
        def f(x):  # at the head
            # above
            values = [
                1,
                2,
            ]

            return values  # at the end
            # below
        """,
        """
        # its own
        @torch.no_grad()
        # between
        @named(
            "f",
        )
        def f(x):  # at the head
            # above
            values = [
                1,
                2,
            ]

            return values  # at the end
            # below
        """,
    )


@pytest.mark.parametrize("length, fits", [(88, True), (89, False)])
def test_a_signature_is_wrapped_only_where_it_does_not_fit_one_line(length, fits):
    name = "x" * (length - len("def f(first, =1):"))
    code = f"def f(\n    first: int,\n    {name}: int = 1,\n) -> int:\n    return 1"
    line = f"def f(first, {name}=1):"
    head = line if fits else f"def f(\n    first, {name}=1\n):"
    assert len(line) == length
    assert shown(code) == f"{head}\n    return 1"


def test_a_remark_in_a_signature_stays():
    code = "def f(\n    x: int,  # pixels\n    y: int,\n):\n    return x"
    assert shown(code) == "def f(\n    x,  # pixels\n    y,\n):\n    return x"


def test_a_layout_by_hand_stays_without_its_mark():
    becomes(
        """
        def f(x: int, y: int,
              z: int):  # fmt: skip
            return g(
                x, y,
                z,
            )  # fmt: skip
        """,
        """
        def f(x, y, z):
            return g(
                x, y,
                z,
            )
        """,
    )


def test_names_come_in_the_order_asked_for():
    code = "def a():\n    return 1\n\n\nB = 2\n\n\ndef c():\n    return 3\n"
    assert shown(code, "c", "a") == (
        "def c():\n    return 3\n\n\ndef a():\n    return 1"
    )


# ---- Where it writes


def cell(text, *tags, kind="code", **more):
    return {"cell_type": kind, "metadata": {"tags": list(tags)}, "source": text} | more


@pytest.fixture
def book(tmp_path):
    """Two chapters: one shows two functions of its module, the other is the one page."""
    (tmp_path / "ffutils").mkdir()
    (tmp_path / "ffutils" / "labels.py").write_text(
        'def f(x: int) -> int:\n    """Doc."""\n    return x\n\n\n'
        "def g(x):\n    check_x(x)\n    return f(x)\n"
    )
    (tmp_path / "chapters").mkdir()
    outputs = [{"output_type": "stream", "name": "stdout", "text": ["é\n"]}]
    cells = [
        cell(["# Title"], kind="markdown"),
        cell(["def f(x):\n", "    return -x"], "long-ok", "module:f", "module:g"),
        cell(["def f(x):\n", "    return x + 1"], outputs=outputs),
    ]
    for name in ("02_label_overlay", ONE_PAGE):
        path = tmp_path / "chapters" / f"{name}.ipynb"
        here = cells if name != ONE_PAGE else cells[2:]
        text = json.dumps({"cells": here}, indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")
    return tmp_path


def test_only_the_tagged_cells_are_written(book, capsys):
    path = book / "chapters" / "02_label_overlay.ipynb"
    before, page = read(path), (book / "chapters" / f"{ONE_PAGE}.ipynb").read_bytes()
    assert sync.main([], book) == 0
    assert "-    return -x" in capsys.readouterr().out  # what it overwrote
    after = read(path)
    expected = "def f(x):\n    return x\n\n\ndef g(x):\n    return f(x)"
    assert source(after["cells"][1]) == expected
    before["cells"][1]["source"] = expected.splitlines(keepends=True)
    text = json.dumps(before, indent=1, ensure_ascii=False) + "\n"
    assert path.read_text(encoding="utf-8") == text
    assert (book / "chapters" / f"{ONE_PAGE}.ipynb").read_bytes() == page
    assert sync.main(["--check"], book) == 0
    assert capsys.readouterr().out == ""


def test_check_says_what_differs_and_writes_nothing(book, capsys):
    path = book / "chapters" / "02_label_overlay.ipynb"
    before = path.read_bytes()
    assert sync.main(["--check"], book) == 1
    assert "02_label_overlay.ipynb: f, g" in capsys.readouterr().out
    assert path.read_bytes() == before


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_a_tag_that_names_nothing_is_refused(book, capsys, arguments):
    path = book / "chapters" / "02_label_overlay.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("module:f", "module:h"))
    before = path.read_bytes()
    assert sync.main(arguments, book) == 1
    assert "module:h" in capsys.readouterr().err
    assert path.read_bytes() == before


# ---- The book


@pytest.mark.parametrize("path", chapter_files(), ids=lambda path: path.stem)
def test_each_tagged_cell_holds_what_its_module_says(path):
    differing = [sync.names(cell) for cell, _ in sync.out_of_line(path, read(path))]
    assert not differing, "change the module, not the chapter; then run make sync"
