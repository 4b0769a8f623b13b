"""The light environment: all that rendering needs, nothing of PyTorch, and the same API page as with it."""

import functools
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib

import pytest

import ffutils
from tools.chapters import ROOT

PYTHON = ROOT / ".venv-book" / "bin" / "python"
HEAVY = {"torch", "torchvision", "numpy", "matplotlib", "scikit-learn", "scipy"}
INSTALLERS = {"pip", "setuptools", "wheel"}
# pikepdf needs it, and no version is asked of what Colab brings.
NOT_PINNED = INSTALLERS | {"pillow"}

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="no .venv-book: make book sets it up"
)

# Renders the folder argv[1] as text, either where nothing heavy can be imported, or with the packages of the folder
# argv[2], and says at the end which of the heavy ones were loaded.
RENDER = """
import sys

folder, packages = sys.argv[1:]
heavy = ("torch", "torchvision", "numpy", "matplotlib", "sklearn", "cloudpickle")


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in heavy:
            raise ImportError(f"{name} is blocked")


if packages:
    sys.path.append(packages)
else:
    sys.meta_path.insert(0, Blocker())
from jupyter_book.cli.main import build

build([folder, "--all", "-n", "--builder", "custom", "--custom-builder", "text"],
      standalone_mode=False)
print("loaded:", *[name for name in heavy if name in sys.modules])
"""


def normalized(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins():
    found = re.findall(
        r"^([\w.-]+)==(\S+)$",
        (ROOT / "constraints.txt").read_text(encoding="utf-8"),
        re.M,
    )
    return {normalized(name): version for name, version in found}


@functools.cache
def installed():
    code = "from importlib.metadata import distributions\nfor d in distributions(): print(d.name, d.version)"
    listed = subprocess.run(
        [PYTHON, "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout
    return {
        normalized(name): version
        for name, version in map(str.split, listed.splitlines())
    }


def test_nothing_heavy_is_there():
    assert "sphinx" in installed()
    assert not HEAVY & set(installed())


def test_it_takes_less_than_600_mb():
    files = (path.lstat() for path in (ROOT / ".venv-book").rglob("*"))
    assert sum(file.st_blocks * 512 for file in files) < 600e6


def test_what_it_holds_is_pinned():
    extra = {
        name: version for name, version in installed().items() if name not in NOT_PINNED
    }
    assert extra == {name: pins().get(name) for name in extra}


def test_what_the_extras_ask_for_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = {
        normalized(re.match(r"[\w.-]+", line)[0])
        for lines in project["project"]["optional-dependencies"].values()
        for line in lines
    }
    assert asked <= set(pins())


def rendered(folder, packages=""):
    """The text of a book of the API page alone, and the heavy modules that were loaded for it."""
    for name in ("ffutils", "tools", "_static"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("_config.yml", "references.bib"):
        shutil.copy(ROOT / name, folder)
    (folder / "_extra").mkdir()
    (folder / "appendix").mkdir()
    shutil.copy(ROOT / "appendix" / "api.md", folder / "appendix")
    (folder / "_toc.yml").write_text("format: jb-book\nroot: appendix/api\n")
    if packages:  # the real modules, and no stand-ins for them
        config = (folder / "_config.yml").read_text(encoding="utf-8")
        real, found = re.subn(
            "autodoc_mock_imports: .*", "autodoc_mock_imports: []", config
        )
        assert found == 1
        (folder / "_config.yml").write_text(real, encoding="utf-8")
    ended = subprocess.run(
        [PYTHON, "-c", RENDER, folder, packages],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout
    text = (folder / "_build/text/appendix/api.txt").read_text(encoding="utf-8")
    return text, ended.stdout.splitlines()[-1].removeprefix("loaded:").split()


def test_the_api_page_is_the_same_without_pytorch(tmp_path):
    code = "import sys; print(*sys.version_info[:2])"
    version = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True)
    if version.stdout.split() != [*map(str, sys.version_info[:2])]:
        pytest.skip(".venv-book and .venv have two versions of Python")
    without, loaded = rendered(tmp_path / "without")
    assert loaded == []
    packages = sysconfig.get_path("platlib")
    real, loaded = rendered(tmp_path / "with", packages)
    assert {"torch", "numpy", "matplotlib"} <= set(loaded)
    assert without == real

    # Alike, and also right: neither of them could be a page of failed imports.
    for shown in (
        "class ffutils.layers.FFLayer(in_features, out_features, normalize=normalize)",
        'Bases: "Linear"',
        "optimizer=torch.optim.Adam",
        "**positive** (*Tensor*)",
        "(*str** | **torch.device*)",
    ):
        assert shown in " ".join(real.split())
    functions = [name for name in ffutils.__all__ if callable(getattr(ffutils, name))]
    assert not [name for name in functions if not re.search(rf"\.{name}\b", real)]
