"""What tools and tests know of a chapter: its place, its age, what outputs may hold,
what has changed since a commit, and which chapters can run at the same time."""

import ast
import contextlib
import getpass
import hashlib
import json
import math
import os
import re
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The one notebook that stands alone: it imports nothing of the book, brings its own
# copy of MNIST and needs no skeleton.
ONE_PAGE = "00_one_page"

# What an output gives away about the machine that made it, or differs from run to run.
TRACES = re.compile(
    r"""(?<![\w:/.<])/(?:[\w.-]+/){2,}             # a path: /a/b/…, but no URL or </div>
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
    return [
        cell
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and source(cell).strip()
    ]


# ---- Is it old?


def parse(code):
    """The syntax tree of a cell, with IPython's %magic and !shell read as `pass`."""
    return ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", code, flags=re.MULTILINE))


# What only checks, prints or draws, and so can change no number.
SILENT = {"checks", "claims", "plots", "progress", "results", "tables"}
TYPES = {"__future__", "typing", "collections.abc"}


class Essence(ast.NodeTransformer):
    """Drops what can change no number: docstrings, annotations, checks, messages.

    At the top level of a cell, strings and check_… functions of its own show something:
    there they stay.
    """

    def __init__(self, inside=False):
        self.parents = [inside]  # the definitions around a node; true for a module

    def visit_ClassDef(self, node):
        self.parents.append(node)
        self.generic_visit(node)
        self.parents.pop()
        return node

    def visit_FunctionDef(self, node):
        node.returns = None
        return self.visit_ClassDef(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_AnnAssign(self, node):
        self.generic_visit(node)
        if isinstance(self.parents[-1], ast.ClassDef):
            node.annotation = None  # but a field remains one
            return node
        return ast.Assign([node.target], node.value) if node.value else None

    def visit_Expr(self, node):
        string = isinstance(getattr(node.value, "value", None), str)
        called = getattr(node.value, "func", None)
        name = getattr(called, "attr", getattr(called, "id", ""))
        if self.parents[-1] and (string or re.match("(check|warn)(_|$)", name)):
            return None
        return self.generic_visit(node)

    def visit_If(self, node):
        self.generic_visit(node)
        return node if node.body or node.orelse else None

    visit_For = visit_If

    def visit_Raise(self, node):
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        return self.generic_visit(node)

    def visit_Assert(self, node):
        node.msg = None
        return self.generic_visit(node)

    def visit_JoinedStr(self, node):
        # Python 3.12 may end a format, as in f"{x:>{width}}", with an empty string.
        node.values = [part for part in node.values if getattr(part, "value", 0) != ""]
        return self.generic_visit(node)

    def visit_ImportFrom(self, node):
        return None if node.module in TYPES else node


def dump(node):
    """A syntax tree as nested lists: like `ast.dump`, but the same in every Python."""
    if isinstance(node, ast.AST):
        fields = ast.iter_fields(node)
        full = [
            [name, dump(value)] for name, value in fields if value not in (None, [])
        ]
        return [type(node).__name__, full]
    return [dump(item) for item in node] if isinstance(node, list) else repr(node)


def module_file(module, root=ROOT):
    """A module of ffutils by its name, one of experiments by its path of dots."""
    path = module if "." in module else f"ffutils.{module}"
    return root.joinpath(*path.split(".")).with_suffix(".py")


def book_imports(tree, root=ROOT):
    """(module, name) for each import from ffutils or experiments.

    The name "*" is the whole module. Of experiments, which no chapter imports, a module
    is named by its path of dots: a stored run's age depends on it.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            paths = [(alias.name.split("."), "*") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            paths = [(node.module.split("."), alias.name) for alias in node.names]
        else:
            continue
        for (package, *module), name in paths:
            if package == "experiments":
                path = ".".join([package, *module])
                if module_file(f"{path}.{name}", root).exists():
                    yield f"{path}.{name}", "*"
                elif module and module_file(path, root).exists():
                    yield path, name
                else:
                    yield f"{path}.__init__", name
            elif package == "ffutils":
                if not module and module_file(name, root).exists():
                    yield name, "*"
                else:
                    yield module[0] if module else "__init__", name


def bound_names(statement):
    """What a statement binds; empty where it does, or may do, more than that."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {a.asname or a.name.split(".")[0] for a in statement.names}
    targets = getattr(statement, "targets", [])
    plain = all(isinstance(target, ast.Name) for target in targets)
    return {target.id for target in targets} if plain else set()


def top_level(module, root):
    """(names that it binds, statement) for each statement of a module."""
    tree = ast.parse(module_file(module, root).read_text(encoding="utf-8"))
    for node in Essence(inside=True).visit(tree).body:
        if isinstance(node, ast.ImportFrom):  # each name by itself
            for name in node.names:
                alone = ast.ImportFrom(node.module, [name], node.level)
                yield bound_names(alone), alone
        else:
            yield bound_names(node), node


def fingerprint(notebook, root=ROOT):
    """A hash over everything that can change a number of a chapter.

    That is its code cells and, of the modules, the definitions that the imported names
    lead to, with the constants on the way. Left out: what `Essence` drops, the modules
    in `SILENT`, comments, layout and the Colab bootstrap.
    """
    cells = [
        Essence().visit(parse(source(cell)))
        for cell in code_cells(notebook)
        if "colab-bootstrap" not in tags(cell)
    ]
    waiting = [name for tree in cells for name in book_imports(tree, root)]
    modules, reached = {}, {}
    while waiting:
        module, name = place = waiting.pop()
        if module in SILENT or place in reached:
            continue
        if module not in modules:
            modules[module] = list(top_level(module, root))
        if place == ("__init__", "*"):  # `import ffutils` reaches whole modules
            for _, node in modules[module]:
                waiting += [(other, "*") for other, _ in book_imports(node, root)]
        ours, used = set(), []
        for names, node in modules[module]:
            ours |= names
            # What binds nothing, such as a loop, runs in any case.
            if not names or name == "*" or name in names:
                used.append(node)
        reached[place] = dump(used)
        for node in used:
            names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            waiting += [(module, other) for other in names & ours]
            waiting += book_imports(node, root)
    content = [[dump(tree) for tree in cells], sorted(reached.items())]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def stamp(notebook):
    """What was noted when the outputs were stored: fingerprint, data set, seconds."""
    return notebook["metadata"].get("ffbook", {})


def is_old(notebook, root=ROOT):
    stored = stamp(notebook)
    return (stored.get("fingerprint"), stored.get("dataset")) != (
        fingerprint(notebook, root),
        "mnist",
    )


# ---- What has changed since a commit?

# What every chapter runs on, beside the code that its fingerprint covers.
FOUNDATION = (
    "requirements.txt",
    "constraints.txt",
    "pyproject.toml",
    "tools/chapters.py",
    "tools/check.py",
)


def git(*arguments, root=ROOT):
    """What a git command prints, or None where it fails or there is no git."""
    with contextlib.suppress(FileNotFoundError):
        ended = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, encoding="utf-8"
        )
        return None if ended.returncode else ended.stdout
    return None


def breaks_any(path):
    """Could a change of this file break a chapter, and leave its fingerprint as it is?"""
    folder, _, name = path.partition("/")
    silent = folder == "ffutils" and name.removesuffix(".py") in SILENT
    return silent or path in FOUNDATION


def shown(notebook):
    """What a reader sees of the code cells, apart from the Colab bootstrap."""
    return [
        (source(cell), sorted(tags(cell)), cell["outputs"])
        for cell in code_cells(notebook)
        if "colab-bootstrap" not in tags(cell)
    ]


def changed_since(ref, root=ROOT):
    """The chapters to run again because of what changed since a commit, and why.

    A chapter counts as changed where its fingerprint is not the one that was stored
    then, where a code cell or an output differs, or where a picture or a stored result
    that it names does. All chapters count where the commit is unknown, or where
    something changed that could break any of them.

    Returns:
        The paths, and a sentence for whoever reads the log.
    """
    everything = chapter_files(root)
    commit = git("rev-parse", "--verify", "--quiet", "--end-of-options",
                 f"{ref}^{{commit}}", root=root)  # fmt: skip
    if commit is None:
        return everything, f"{ref} is no commit that is known here, so all chapters run"
    commit = commit.strip()
    files = git("diff", "--name-only", "--no-renames", "--relative", "-z", commit,
                root=root).split("\0")  # fmt: skip
    for path in files:
        if breaks_any(path):
            return everything, f"{path} changed since {ref}, so all chapters run"
    data = [Path(path).stem for path in files
            if path.startswith("ffutils/") and not path.endswith(".py")]  # fmt: skip
    changed = []
    for path in everything:
        old = git("show", f"{commit}:./{path.relative_to(root).as_posix()}", root=root)
        now, then = read(path), json.loads(old) if old else None
        text = "\n".join(source(cell) for cell in code_cells(now))
        if (
            then is None
            or stamp(then).get("fingerprint") != fingerprint(now, root)
            or shown(then) != shown(now)
            or any(f'"{name}"' in text for name in data)
        ):
            changed.append(path)
    names = ", ".join(path.stem for path in changed) or "none"
    return changed, f"Chapters that changed since {ref}: {names}"


# ---- Which can run at the same time?

# These measure seconds that their text is about: what several processes gain.
ALONE = {"13_cost_and_scale"}
LIMIT = 120  # seconds that a chapter should take, on one core or alone on two


def cpu_count():
    """The cores that this process may use."""
    if hasattr(os, "process_cpu_count"):  # since Python 3.13
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def seconds(path):
    """How long a chapter took when its outputs were stored; unknown: long, perhaps."""
    return stamp(read(path)).get("seconds", math.inf)


def side_by_side(paths, run):
    """(path, run(path, threads)) for each chapter, as they end.

    A chapter has one thread and a core, the longest begin first, so that the cores end
    together. Those that time themselves follow one by one, with as many threads as the
    machine gives (threads is None).
    """
    shared = [path for path in paths if path.stem not in ALONE]
    pool = ThreadPoolExecutor(cpu_count())
    try:
        # `sorted` keeps the order of reading where two took equally long.
        ordered = sorted(shared, key=seconds, reverse=True)
        running = {pool.submit(run, path, 1): path for path in ordered}
        for ended in as_completed(running):
            yield running[ended], ended.result()
    finally:  # after Ctrl-C, too, begin no other
        pool.shutdown(cancel_futures=True)
    for path in paths:
        if path.stem in ALONE:
            yield path, run(path, None)


# ---- What its outputs hold


def texts(output):
    """The readable parts of an output, without pictures in base64."""
    yield "".join(output.get("text", ""))
    for kind, value in output.get("data", {}).items():
        if not kind.startswith("image/") or kind == "image/svg+xml":
            yield PACKED.sub(
                "", json.dumps(value) if isinstance(value, dict) else "".join(value)
            )


def machine_names():
    """How this machine and its user are called, unless that may be a common word."""
    names = {socket.gethostname()}
    with contextlib.suppress(KeyError, OSError):  # a container may have no such user
        names.add(getpass.getuser())
    return {
        name
        for name in names
        if len(name) > 4 and name not in ("localhost", "runner", "ubuntu", "debian")
    }


def output_problems(notebook):
    """What must not stand in a chapter's stored outputs, as a list of sentences."""
    problems = []
    names = re.compile(
        "|".join(rf"\b{re.escape(name)}\b" for name in machine_names()) or r"(?!)"
    )
    for number, cell in enumerate(notebook["cells"]):
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                if "raises-exception" not in tags(cell):
                    problems.append(
                        f"cell {number} ends in an error: {output.get('ename')}: {output.get('evalue')}"
                    )
                continue
            if output.get("name") == "stderr":
                problems.append(
                    f"cell {number} writes to stderr: {''.join(output['text']).strip()[:200]}"
                )
            for text in texts(output):
                hit = TRACES.search(text) or names.search(text)
                if hit:
                    problems.append(
                        f"cell {number} shows {hit[0]!r}, which belongs to one machine or run"
                    )
    return problems
