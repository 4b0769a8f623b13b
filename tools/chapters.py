"""What the book's tools and tests know about a chapter: where it lies, whether its outputs are old, what they may hold."""

import ast
import contextlib
import getpass
import hashlib
import json
import re
import socket
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The one notebook that stands alone: it imports nothing of the book, brings its own copy of MNIST and needs no skeleton.
ONE_PAGE = "00_one_page"

# What an output gives away about the machine that made it, or what differs from run to run.
TRACES = re.compile(
    r"""(?<![\w:/.<])/(?:[\w.-]+/){2,}             # a path: /a/b/…, but neither a URL nor </div>
      | (?<![\w/.])/(?:tmp|home|root|Users|mnt)/
      | [A-Z]:\\\w+\\
      | site-packages | ipykernel_\d+
      | \bat\ 0x[0-9a-f]{6,}                       # an object's address in memory
      | \b\w*Warning:                              # a warning, on whatever stream
    """,
    re.VERBOSE,
)
PACKED = re.compile(r"data:[\w/+.;=-]+,[^\"')\s]*")  # pictures within HTML


def chapter_files(root=ROOT):
    """The notebooks of the book, in reading order."""
    return sorted((root / "chapters").glob("*.ipynb"))


def read(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def source(cell):
    """A cell's text; a notebook may store it as one string or as a list of lines."""
    return "".join(cell["source"])


def tags(cell):
    return set(cell["metadata"].get("tags", []))


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and source(cell).strip()]


# ---- Is it old?


def parse(code):
    """The syntax tree of a cell, with IPython's %magic and !shell lines read as `pass`."""
    return ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", code, flags=re.MULTILINE))


def without_docstrings(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                del node.body[0]
    return tree


def dump(node):
    """A syntax tree as nested lists: like `ast.dump`, but the same in every version of Python that the book supports."""
    if isinstance(node, ast.AST):
        fields = [[name, dump(value)] for name, value in ast.iter_fields(node) if value not in (None, [])]
        return [type(node).__name__, fields]
    return [dump(item) for item in node] if isinstance(node, list) else repr(node)


def imported_modules(tree, root=ROOT):
    """The names of the ffutils modules that a syntax tree imports: "data" for ffutils/data.py."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for first, *rest in (name.split(".") for name in names):
            if first == "ffutils":
                yield rest[0] if rest and (root / "ffutils" / f"{rest[0]}.py").exists() else "__init__"


def fingerprint(notebook, root=ROOT):
    """A hash over everything that can change a chapter's outputs: its code cells, and the modules that they lead to.

    Left out, since they change no number: comments, the layout of the code, docstrings of the modules, plots.py, the
    Colab bootstrap.
    """
    cells = [parse(source(cell)) for cell in code_cells(notebook) if "colab-bootstrap" not in tags(cell)]
    waiting = {name for tree in cells for name in imported_modules(tree, root)}
    modules = {}
    while waiting:
        name = waiting.pop()
        if name == "plots" or name in modules:
            continue
        tree = ast.parse((root / "ffutils" / f"{name}.py").read_text(encoding="utf-8"))
        waiting |= set(imported_modules(tree, root))
        modules[name] = dump(without_docstrings(tree))
    return hashlib.sha256(json.dumps([[dump(tree) for tree in cells], sorted(modules.items())]).encode()).hexdigest()[
        :16
    ]


def is_old(notebook, root=ROOT):
    stored = notebook["metadata"].get("ffbook", {})
    return stored != {"fingerprint": fingerprint(notebook, root), "dataset": "mnist"}


# ---- What its outputs hold


def texts(output):
    """The readable parts of an output, without pictures in base64."""
    yield "".join(output.get("text", ""))
    for kind, value in output.get("data", {}).items():
        if not kind.startswith("image/") or kind == "image/svg+xml":
            yield PACKED.sub("", json.dumps(value) if isinstance(value, dict) else "".join(value))


def machine_names():
    """How this machine and its user are called, where that is long enough not to be a common word."""
    names = {socket.gethostname()}
    with contextlib.suppress(KeyError, OSError):  # a container may have no such user
        names.add(getpass.getuser())
    return {name for name in names if len(name) > 4 and name not in ("localhost", "runner", "ubuntu", "debian")}


def output_problems(notebook):
    """What must not stand in a chapter's stored outputs, as a list of sentences."""
    problems = []
    names = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in machine_names()) or r"(?!)")
    for number, cell in enumerate(notebook["cells"]):
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                if "raises-exception" not in tags(cell):
                    problems.append(f"cell {number} ends in an error: {output.get('ename')}: {output.get('evalue')}")
                continue
            if output.get("name") == "stderr":
                problems.append(f"cell {number} writes to stderr: {''.join(output['text']).strip()[:200]}")
            for text in texts(output):
                hit = TRACES.search(text) or names.search(text)
                if hit:
                    problems.append(f"cell {number} shows {hit[0]!r}, which belongs to one machine or run")
    return problems
