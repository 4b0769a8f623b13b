"""Write the definitions that chapters show from ffutils: python tools/sync.py [--check]

A code cell tagged module:NAME holds that function or class of its chapter's module,
less docstrings, annotations and statements that only call a check_… or warn_… function.
Several such tags make a cell of several definitions. --check writes nothing, and the
exit code is 1 where a cell differs; it is 1 in any case where a tag names nothing.
"""

import argparse
import difflib
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import libcst as cst
from libcst import matchers as m

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.chapters import ROOT, chapter_files, read, source

# Which modules a chapter shows. The one page is not among them: it stands alone.
MODULES = {
    "01_loading_mnist": ["data"],
    "02_label_overlay": ["labels"],
    "03_normalized_relu_layers": ["layers"],
    "04_isolated_training": ["training"],
    "05_goodness_prediction": ["prediction"],
    "06_closing_the_gap": ["recipe"],
    "07_does_depth_pay": ["depth", "fast"],
    "08_unsupervised_hybrids": ["hybrids"],
    "09_local_receptive_fields": ["local"],
    "10_recurrent_top_down": ["recurrent"],
    "11_sequences": ["sequences"],
    "12_rivals": ["rivals"],
    "13_cost_and_scale": ["memory", "pipeline"],
}


# A signature with a parameter a line: its beginning, its parameters, its end.
SIGNATURE = re.compile(r"^( *def \w+\()\n((?: +[^\n]+,\n){2,})( *\):)$", re.MULTILINE)


class Shown(cst.CSTTransformer):
    """Cuts what a chapter does not show, and leaves comments and layout as they are."""

    def __init__(self):
        self.in_class = []  # for each definition around the present node

    def visit_ClassDef(self, node):
        self.in_class.append(True)

    def visit_FunctionDef(self, node):
        self.in_class.append(False)

    def leave_ClassDef(self, original, updated):
        self.in_class.pop()
        return without_docstring(updated)

    def leave_FunctionDef(self, original, updated):
        self.in_class.pop()
        header = getattr(updated.body, "header", None)
        if header and header.comment and "fmt: skip" in header.comment.value:
            body = updated.body.with_changes(header=cst.TrailingWhitespace())
            updated = updated.with_changes(body=body)
        return without_docstring(updated.with_changes(returns=None))

    def leave_Param(self, original, updated):
        if updated.annotation is not None and updated.default is not None:
            none = cst.SimpleWhitespace("")
            updated = updated.with_changes(equal=cst.AssignEqual(none, none))
        # A comma after the last parameter would wrap the line, however short.
        if not m.findall(updated.comma, m.Comment()):
            updated = updated.with_changes(comma=cst.MaybeSentinel.DEFAULT)
        return updated.with_changes(annotation=None)

    def leave_AnnAssign(self, original, updated):
        if self.in_class[-1]:
            return updated  # a field, which a NamedTuple or a dataclass is made of
        if updated.value is None:
            return cst.RemoveFromParent()
        return cst.Assign([cst.AssignTarget(updated.target)], updated.value)

    def leave_Expr(self, original, updated):
        function = updated.value.func if m.matches(updated.value, m.Call()) else None
        name = function.attr if m.matches(function, m.Attribute()) else function
        check = m.Name(m.MatchRegex("(check|warn)_.*"))
        return cst.RemoveFromParent() if m.matches(name, check) else updated

    def leave_SimpleStatementLine(self, original, updated):
        return updated if updated.body else cst.RemoveFromParent()

    def leave_If(self, original, updated):
        empty = not updated.body.body and updated.orelse is None
        return cst.RemoveFromParent() if empty else updated

    leave_For = leave_If  # a loop over checks


def without_docstring(definition):
    """A definition without its docstring, and without blank lines where that stood."""
    body = list(definition.body.body)
    if definition.get_docstring() is not None:
        del body[0]
    if body and hasattr(body[0], "leading_lines"):
        lines = list(body[0].leading_lines)
        while lines and lines[0].comment is None:
            del lines[0]
        body[0] = body[0].with_changes(leading_lines=lines)
    return definition.with_changes(body=definition.body.with_changes(body=body))


def definitions(code):
    """The functions and classes at the top level of a module's code, by name."""
    nodes = cst.parse_module(code).body
    return {
        n.name.value: n for n in nodes if isinstance(n, cst.FunctionDef | cst.ClassDef)
    }


def shown(nodes):
    """The text of some definitions as a chapter shows them."""
    body = []
    for node in nodes:
        lines = list(node.leading_lines)
        while any(line.comment is None for line in lines):
            del lines[0]  # what stands apart from the definition
        body.append(node.visit(Shown()).with_changes(leading_lines=lines))
    return formatted(cst.Module(body).code)


def formatted(code):
    """The code as Ruff lays it out, with the widths that pyproject.toml sets."""
    command = [sys.executable, "-m", "ruff", "format", "--quiet", "-"]
    command += ["--stdin-filename", ROOT / "ffutils" / "cell.py"]
    text = subprocess.run(
        command, input=code, capture_output=True, text=True, check=True
    )
    code = re.sub(r" *# fmt: skip$", "", text.stdout, flags=re.MULTILINE).strip()
    return SIGNATURE.sub(filled, code)


def filled(match):
    """A signature that Ruff wrapped, with as many parameters on a line as fit."""
    start, parameters, end = match.groups()
    indent = " " * (len(end) - len(end.lstrip()) + 4)
    words = (line.strip().replace(" ", "\0") for line in parameters.splitlines())
    text = textwrap.fill(" ".join(words), 88, initial_indent=indent,
                         subsequent_indent=indent, break_on_hyphens=False)  # fmt: skip
    return f"{start}\n{text}\n{end}".replace("\0", " ")


def names(cell):
    """What a cell's module:NAME tags name, in their order."""
    tags = cell["metadata"].get("tags", [])
    return [tag.removeprefix("module:") for tag in tags if tag.startswith("module:")]


def own_definitions(chapter, root=ROOT):
    """The functions and classes of a chapter's modules, by name."""
    nodes = {}
    for module in MODULES.get(chapter, []):
        path = root / "ffutils" / f"{module}.py"
        nodes |= definitions(path.read_text(encoding="utf-8"))
    return nodes


def out_of_line(path, notebook, root=ROOT):
    """(cell, the text that it should hold) for each tagged cell that holds another.

    Raises ValueError for tags that name no definition of the chapter's modules.
    """
    ours = own_definitions(path.stem, root)
    cells = [cell for cell in notebook["cells"] if names(cell)]
    unknown = {name for cell in cells for name in names(cell)} - set(ours)
    if unknown:
        tags = ", ".join(f"module:{name}" for name in sorted(unknown))
        where = ", ".join(f"ffutils/{name}.py" for name in MODULES.get(path.stem, []))
        raise ValueError(f"{path.name}: {tags}: no such name in {where or 'MODULES'}")
    for cell in cells:
        text = shown(ours[name] for name in names(cell))
        if text != source(cell):
            yield cell, text


def main(arguments=(), root=ROOT):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say what differs")
    args = parser.parse_args(arguments)
    code = 0
    for path in chapter_files(root):
        notebook = read(path)
        try:
            changes = list(out_of_line(path, notebook, root))
        except ValueError as error:
            print(error, file=sys.stderr)
            code = 1
            continue
        for cell, text in changes:
            # The whole difference: an edit in the chapter is overwritten, but not lost.
            titles = f"{path.name}: {', '.join(names(cell))}", "from ffutils"
            pair = source(cell).splitlines(), text.splitlines()
            print(*difflib.unified_diff(*pair, *titles, lineterm=""), sep="\n")
            cell["source"] = text.splitlines(keepends=True)
        if changes and args.check:
            code = 1
        elif changes:
            unfinished = path.with_name(f".{path.name}.tmp")
            text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
            unfinished.write_text(text, encoding="utf-8")
            os.replace(unfinished, path)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
