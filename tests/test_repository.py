"""The repository as a whole: one address everywhere, no trace of one machine, constraints that fit the requirements."""

import importlib.util
import inspect
import re
import shutil
import subprocess
import tomllib
from itertools import chain

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from tools import repository
from tools.chapters import ROOT, chapter_files, read

# Put together from pieces, so that this file does not contain what it forbids.
FORBIDDEN = [
    "pypi" + ".org", "python" + "hosted", "npm" + "js", "deb" + ".debian.org", "/wo" + "rk/", ".lib" + "rary/",
    "/r" + "oot/", "/tmp/" + "bash", "site-" + "packages/",
]  # fmt: skip
ONLY_IN_CI = "shared" + "/data"
# Not loaded by a page either: Sphinx would load them from other hosts.
COLAB_BRINGS = {
    "torch",
    "torchvision",
    "numpy",
    "matplotlib",
    "ipywidgets",
    "scipy",
    "pandas",
    "pillow",
}


def tracked_files():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [
        ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()
    ]


def limits(lines):
    """What each requirement asks of a package's version, by the package's name."""
    found = (re.match(r"([\w.-]+)(.*)", line) for line in lines)
    return {
        match[1].lower().replace("_", "-"): match[2].strip() for match in found if match
    }


def requirements(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return limits(line for line in lines if not line.startswith("#"))


def test_one_address_everywhere(capsys):
    assert repository.main(["--check"]) == 0, capsys.readouterr()


def test_no_tracked_file_names_one_machine_or_a_package_host():
    found = []
    for path in tracked_files():
        name = path.relative_to(ROOT)
        if name.parts[0] == "_extra" or path.suffix in {
            ".bin",
            ".png",
            ".gif",
            ".jpg",
            ".woff",
            ".woff2",
        }:
            continue
        text = path.read_text(encoding="utf-8")
        found += [f"{name}: {word}" for word in FORBIDDEN if word in text]
        if ONLY_IN_CI in text and str(name) != ".ci/run":
            found.append(f"{name}: {ONLY_IN_CI}")
    assert not found


def test_no_large_file_is_tracked():
    assert not [path for path in tracked_files() if path.stat().st_size > 3_000_000]


def test_constraints_pin_exactly_and_leave_alone_what_colab_brings():
    pins = requirements("constraints.txt")
    assert all(re.fullmatch(r"==\d[\w.]*", pin) for pin in pins.values()), pins
    assert not COLAB_BRINGS & set(pins)


def test_jupyter_book_alone_is_capped():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    wide = requirements("requirements.txt") | limits(chain(*extras))
    assert {name for name, limit in wide.items() if "<" in limit or "==" in limit} == {
        "jupyter-book"
    }


def test_every_chapter_is_in_the_table_of_contents():
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    chapters = [*chapter_files(), *(ROOT / "chapters").glob("*.md")]
    assert not [
        path.stem
        for path in chapters
        if f"chapters/{path.stem}\n" not in contents + "\n"
    ]


def test_every_launch_link_is_what_one_function_writes():
    """In the README's table, its badges, the chapters and wherever else there is one."""
    slug, seen = repository.read_slug(ROOT), set()
    for path in tracked_files():
        if path.parts[len(ROOT.parts)] in {"tests", "tools", "_extra"}:
            continue
        if path.suffix not in {".md", ".ipynb", ".html", ".yml"}:
            continue
        text = path.read_text(encoding="utf-8")
        for link in re.findall(
            r"https://(?:colab\.research\.google\.com/github|mybinder\.org/v2)/[^\s)\"\\]+",
            text,
        ):
            match = next(
                (place, found["path"])
                for place, pattern in repository.LAUNCHED.items()
                if (found := pattern.fullmatch(link))
            )
            assert link == repository.launch_link(match[0], slug, match[1])
            assert (ROOT / match[1]).exists(), f"{path.name}: {link}"
            seen.add(match)
    wanted = {(place, f"chapters/{p.name}") for place in repository.LAUNCH for p in chapter_files()}  # fmt: skip
    assert wanted <= seen


def test_every_chapter_has_its_row_and_its_links_in_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = {path for _, path, _ in repository.ROW.findall(readme)}
    assert rows == {f"chapters/{path.name}" for path in chapter_files()}


# ---- The bootstrap


def bootstrap_cells():
    return [
        "".join(cell["source"])
        for path in chapter_files()
        for cell in read(path)["cells"]
        if "colab-bootstrap" in cell["metadata"].get("tags", [])
    ]


def run_bootstrap(code, missing, monkeypatch):
    """What a bootstrap cell asks %pip for, where some modules are missing."""
    asked = []

    class Shell:
        def run_line_magic(self, magic, line, **_):
            frame = inspect.currentframe().f_back
            asked.append((magic, line.format(**frame.f_locals)))

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name in missing else found(name),
    )
    names = {"get_ipython": Shell}
    exec(TransformerManager().transform_cell(code), names)
    return asked


def test_the_bootstrap_is_the_same_in_every_chapter():
    cells = bootstrap_cells()
    assert len(cells) == len(chapter_files()) - 1  # the one page needs none
    assert set(cells) == {repository.bootstrap(repository.read_slug(ROOT))}


BOOK = ("pip", "install -q --no-deps git+https://github.com/someone/a-book@main")


@pytest.mark.parametrize(
    ("missing", "asked"),
    [
        ((), []),
        (("ffutils",), [BOOK]),
        (("cloudpickle",), []),  # ffutils is here, so its set-up brought the rest
        (
            ("ffutils", "cloudpickle", "sklearn"),
            [("pip", "install -q scikit-learn cloudpickle"), BOOK],
        ),
    ],
)
def test_the_bootstrap_fetches_what_is_missing_and_nothing_else(
    missing, asked, monkeypatch
):
    code = repository.bootstrap("someone/a-book")
    assert run_bootstrap(code, missing, monkeypatch) == asked


@pytest.mark.parametrize(
    ("missing", "wanted"),
    [
        (("ffutils", "torch", "torchvision"), "%pip install torch torchvision,"),
        (
            ("ffutils", "torchvision", "sklearn"),
            "%pip install torchvision scikit-learn,",
        ),
    ],
)
def test_without_pytorch_the_bootstrap_says_in_a_line_what_to_install(
    missing, wanted, monkeypatch
):
    with pytest.raises(ModuleNotFoundError, match=re.escape(wanted)) as raised:
        run_bootstrap(repository.bootstrap("someone/a-book"), missing, monkeypatch)
    assert "\n" not in str(raised.value)


def test_a_copy_that_does_not_know_its_repository_says_in_a_line_what_to_do(
    monkeypatch,
):
    code = repository.bootstrap(repository.PLACEHOLDER + "forward-forward-book")
    assert run_bootstrap(code, (), monkeypatch) == []
    with pytest.raises(ModuleNotFoundError, match="%pip install --no-deps") as raised:
        run_bootstrap(code, ("ffutils",), monkeypatch)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 120


def test_the_bootstrap_needs_what_the_module_declares():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = set(limits(project["project"]["dependencies"]))
    needs = re.search(r'"([\w ]+)"\.split', repository.BOOTSTRAP)[1]
    needs = set(needs.replace("sklearn", "scikit-learn").split())
    # IPython runs the notebook, so it is there; the chapters' sliders need ipywidgets.
    assert needs == declared - {"ipython"} | {"ipywidgets"}


# ---- The address


@pytest.mark.parametrize(
    ("slug", "shown"),
    [
        ("someone/a-book", "someone.github.io/a-book"),
        ("someone/someone.github.io", "someone.github.io"),
        ("Someone/someone.github.io", "Someone.github.io"),
    ],
)
def test_where_the_pages_are_shown(slug, shown):
    assert repository.site(slug) == shown


def test_an_address_may_contain_the_one_before_it():
    text = "https://github.com/a/b https://a.github.io/b/ a/bc a/b-c x.a/b"
    there = repository.in_line(text, "a/b", "a/a.github.io")
    assert there == (
        "https://github.com/a/a.github.io https://a.github.io/ a/bc a/b-c x.a/b"
    )
    assert repository.in_line(there, "a/a.github.io", "a/b") == text


def test_a_placeholder_is_not_published(capsys):
    """What publish.yml asks before it renders."""
    slug = repository.read_slug(ROOT)
    for address in (repository.PLACEHOLDER + "forward-forward-book", "x/" + "y" * 9):
        published = repository.main(["--check", f"https://github.com/{address}"])
        known = address == slug and not address.startswith(repository.PLACEHOLDER)
        assert published == (0 if known else 1)
        assert "make repository" in capsys.readouterr().err
