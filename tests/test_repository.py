"""The repository as a whole: one address everywhere, no trace of one machine, constraints that fit the requirements."""

import re
import shutil
import subprocess

import pytest

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
    "ipykernel",
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


def requirements(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = (
        re.match(r"([\w.-]+)(.*)", line) for line in lines if not line.startswith("#")
    )
    return {
        match[1].lower().replace("_", "-"): match[2].strip() for match in found if match
    }


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


def test_requirements_cap_jupyter_book_alone():
    wide = requirements("requirements.txt")
    assert {
        name for name, limits in wide.items() if "<" in limits or "==" in limits
    } == {"jupyter-book"}


def test_actions_are_pinned_by_commit():
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    assert workflows
    for path in workflows:
        for used in re.findall(r"uses: *(.+)", path.read_text(encoding="utf-8")):
            assert re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40} # v\d[\d.]*", used), (
                f"{path.name}: {used}"
            )


def test_every_chapter_is_in_the_table_of_contents():
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    chapters = [*chapter_files(), *(ROOT / "chapters").glob("*.md")]
    assert not [
        path.stem
        for path in chapters
        if f"chapters/{path.stem}\n" not in contents + "\n"
    ]


def test_bootstrap_is_the_same_in_every_chapter_and_never_installs_torch():
    cells = [
        cell
        for path in chapter_files()
        for cell in read(path)["cells"]
        if "colab-bootstrap" in cell["metadata"].get("tags", [])
    ]
    assert len(cells) == len(chapter_files()) - 1  # the one page needs none
    assert len({"".join(cell["source"]) for cell in cells}) <= 1
    assert 'find_spec("ffutils") is None' in repository.BOOTSTRAP
    assert "--no-deps" in repository.BOOTSTRAP


def test_a_copy_that_does_not_know_its_repository_says_so_where_ffutils_is_missing():
    code = repository.bootstrap(repository.PLACEHOLDER + "forward-forward-book")
    exec(code, {})  # ffutils is here: nothing happens
    with pytest.raises(ModuleNotFoundError, match="does not know its repository"):
        exec(code.replace('"ffutils"', '"a_module_that_is_missing"'), {})
    assert "%pip" in repository.bootstrap("someone/a-book")
