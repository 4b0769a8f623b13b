"""The Makefile: each environment is made once, completed after a cut, made anew where it no longer runs, and errors say what to do."""

import os
import shutil
import socket
import subprocess
import sys

import pytest

from tools.chapters import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")

# What make and the script need, and no uv of this machine.
SYSTEM = "/usr/bin:/bin"
HERE = f"Python {sys.version_info[0]}.{sys.version_info[1]}"
# Writes down what it is called with; makes environments, in place of what is there unless it may stay, and installs
# nothing; FAIL is a command that fails.
UV = f"""#!/bin/sh
echo "$*" >>"$UV_LOG"
case "$*" in *"${{FAIL-none}}"*) exit 2 ;; esac
[ "$1" = venv ] || exit 0
for folder; do :; done
case "$*" in *--allow-existing*) ;; *) rm -rf "$folder" ;; esac
exec "{sys.executable}" -m venv --without-pip "$folder"
"""


@pytest.fixture
def folder(tmp_path):
    """A folder, with a space in its name, that has what make needs, and a uv beside it."""
    folder = tmp_path / "my book"
    (folder / "tools").mkdir(parents=True)
    for name in ("Makefile", "requirements.txt", "constraints.txt", "pyproject.toml", "tools/set_up.sh"):  # fmt: skip
        shutil.copy2(ROOT / name, folder / name)
    (folder / "_build" / "html").mkdir(parents=True)
    (folder / "_build" / "html" / "index.html").touch()
    script(tmp_path / "programs" / "uv", UV)
    script(tmp_path / "programs" / "python3", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')  # fmt: skip
    return folder


def script(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def make(folder, *arguments, path=None, **variables):
    """Run make there; it finds the uv beside the folder, unless path leaves it out."""
    programs = f"{folder.parent / 'programs'}:{SYSTEM}" if path is None else path
    environment = {
        "PATH": programs,
        "HOME": str(folder.parent),
        "UV_LOG": str(folder.parent / "uv.log"),
    }
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


def calls(folder):
    """What uv was called with since the last look."""
    log = folder.parent / "uv.log"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


def environment(folder, name=".venv-book", note=None):
    """An environment that was set up after everything else."""
    made = folder / name
    (made / "bin").mkdir(parents=True)
    (made / "bin" / "python").symlink_to(sys.executable)
    (made / ".made").write_text(note if note is not None else f"{folder}\n{HERE}\n")
    for stamp in (".book", ".lab", ".test"):
        (made / stamp).touch()
    return made


@pytest.mark.parametrize(
    ("note", "anew"),
    [
        (f"{{folder}}\n{HERE}\n", False),
        (f"/somewhere/else\n{HERE}\n", True),
        ("{folder}\nPython 3.1\n", True),
        ("", True),
    ],
)
def test_an_environment_that_cannot_run_is_made_anew(folder, note, anew):
    environment(folder, note=note.format(folder=folder))
    planned = make(folder, "-n", "book").stdout
    assert ("set_up.sh book" in planned) == anew
    assert ".venv-book/bin/jupyter-book build" in planned


def test_one_whose_python_has_gone_is_made_anew(folder):
    made = environment(folder)
    (made / "bin" / "python").unlink()
    (made / "bin" / "python").symlink_to("/nowhere/python3")
    assert "set_up.sh book" in make(folder, "-n", "book").stdout


def test_another_python_that_is_asked_for_is_taken_and_one_that_is_not_is_left(folder):
    environment(folder)
    text = "#!/bin/sh\necho Python 3.99\n"
    other = script(folder.parent / "other", text)
    script(folder.parent / "programs" / "python3", text)
    assert "set_up.sh book" not in make(folder, "-n", "book").stdout
    assert "set_up.sh book" in make(folder, "-n", "book", f"PYTHON={other}").stdout
    assert "set_up.sh book" in make(folder, "-n", "book", PYTHON=str(other)).stdout


@pytest.mark.parametrize("name", ["requirements.txt", "constraints.txt", "pyproject.toml"])  # fmt: skip
def test_what_is_out_of_date_is_completed(folder, name):
    environment(folder)
    environment(folder, ".venv")
    later = (folder / ".venv" / ".test").stat().st_mtime + 10
    os.utime(folder / name, (later, later))
    assert "set_up.sh test" in make(folder, "-n", "test").stdout
    assert "set_up.sh lab" in make(folder, "-n", "lab").stdout
    light = make(folder, "-n", "book").stdout
    assert ("set_up.sh book" in light) == (name != "requirements.txt")


def test_the_book_needs_no_pytorch(folder):
    ended = make(folder, ".venv-book/.book")
    assert ended.returncode == 0, ended.stderr
    assert "Setting up .venv-book with uv" in ended.stdout
    installs = [call for call in calls(folder) if call.startswith("pip install")]
    assert len(installs) == 1 and "requirements.txt" not in installs[0]
    assert "-r .venv-book/.wanted -c constraints.txt" in installs[0]
    wanted = (folder / ".venv-book" / ".wanted").read_text()
    assert "jupyter-book" in wanted and "torch" not in wanted
    assert not (folder / ".venv").exists()


def test_what_prints_the_book_is_added_to_what_renders_it(folder):
    assert make(folder, ".venv-book/.pdf").returncode == 0
    made, rendering, _, printing, _ = calls(folder)
    assert made.startswith("venv") and "-r .venv-book/.wanted" in rendering
    assert "requirements.txt" not in printing and "constraints.txt" in printing
    wanted = (folder / ".venv-book" / ".wanted").read_text()
    assert "playwright" in wanted and "jupyter-book" not in wanted
    assert not (folder / ".venv").exists()


@pytest.mark.parametrize(
    ("target", "tool"), [("pdf", "tools/pdf.py"), ("figures", "tools/figures.py")]
)
def test_what_is_made_of_the_pages_renders_them_where_they_are_missing(
    folder, target, tool
):
    environment(folder)
    planned = make(folder, "-n", target).stdout
    assert f".venv-book/bin/python {tool}" in planned
    assert "jupyter-book build" not in planned
    (folder / "_build" / "html" / "index.html").unlink()
    assert "jupyter-book build" in make(folder, "-n", target).stdout


@pytest.mark.parametrize("order", [("lab", "test"), ("test", "lab")])
def test_the_chapters_and_their_tests_share_an_environment(folder, order):
    first, second = order
    assert make(folder, f".venv/.{first}").returncode == 0
    made, resolve, own, check = calls(folder)
    assert made.startswith("venv") and check.startswith("pip check")
    assert "-r requirements.txt -r .venv/.wanted -c constraints.txt" in resolve
    assert own.endswith("--no-deps -e .")
    wanted = (folder / ".venv" / ".wanted").read_text()
    assert ("pytest" in wanted) == (first == "test") and "jupyter" not in wanted

    ended = make(folder, f".venv/.{second}")
    assert ended.returncode == 0
    if second == "test":  # what is missing is added, and nothing is made anew
        assert [call.split()[:2] for call in calls(folder)] == [["pip", "install"]] * 2 + [["pip", "check"]]  # fmt: skip
    else:  # the tests have all that the chapters need
        assert not calls(folder)


def test_what_was_cut_off_is_completed(folder):
    ended = make(folder, ".venv-book/.book", FAIL="pip install")
    assert ended.returncode
    packages = next((folder / ".venv-book" / "lib").glob("python*/site-packages"))
    for name, files in {"whole": ["RECORD", "INSTALLER"], "half": ["RECORD"], "none": []}.items():  # fmt: skip
        (packages / f"{name}-1.0.dist-info").mkdir()
        for file in files:
            (packages / f"{name}-1.0.dist-info" / file).write_text("x")
    calls(folder)
    assert make(folder, ".venv-book/.book").returncode == 0
    assert not [call for call in calls(folder) if call.startswith("venv")]
    assert [path.name for path in packages.glob("*.dist-info")] == ["whole-1.0.dist-info"]  # fmt: skip
    assert not make(folder, "-n", ".venv-book/.book").stdout.count("set_up.sh")


def test_a_folder_of_that_name_that_make_has_not_made_is_kept(folder):
    (folder / ".venv").mkdir()
    (folder / ".venv" / "mine.txt").touch()
    assert make(folder, ".venv/.lab").returncode == 0
    assert (folder / ".venv" / "mine.txt").exists()


def test_a_moved_folder_is_said_and_set_up_anew(folder):
    assert make(folder, ".venv-book/.book").returncode == 0
    moved = folder.rename(folder.with_name("moved"))
    calls(moved)
    ended = make(moved, ".venv-book/.book")
    assert ended.returncode == 0, ended.stderr
    assert f".venv-book was made in {folder}, and not here" in ended.stdout
    assert calls(moved)[0].startswith("venv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "was not found: install Python 3.11 or later"),
        ('[ "$1" = --version ] && echo Python 3.8.1\nexit 1', "needs Python 3.11 or later"),
        (f'case "$2" in *ensurepip*) exit 1 ;; esac\nexec "{sys.executable}" "$@"', "apt install python3-venv"),
    ],
    ids=["missing", "old", "without venv"],
)  # fmt: skip
def test_a_python_that_will_not_do_is_one_line_with_a_remedy(folder, text, message):
    if shutil.which("uv", path=SYSTEM):
        pytest.skip("uv is among the system's programs, and needs no venv module")
    python = folder.parent / "such a python"
    if text:
        script(python, f"#!/bin/sh\n{text}\n")
    environment(folder, ".venv", note=f"/somewhere/else\n{HERE}\n")
    ended = make(folder, "lab", f"PYTHON={python}", path=SYSTEM)
    assert ended.returncode
    assert message in ended.stderr and str(python) in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (folder / ".venv" / ".made").exists(), "removed before there is another"


def test_the_steps_and_the_comparison_are_passed_on(folder):
    environment(folder)
    environment(folder, ".venv")
    planned = make(folder, "-n", "test", "STEPS=lint unit", SINCE="origin/main").stdout
    assert 'tools/check.py lint unit --since "origin/main"' in planned
    assert "--since" not in make(folder, "-n", "test").stdout


def test_a_port_that_is_taken_is_said_with_another(folder):
    environment(folder)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = make(folder, "serve", f"PORT={port}")
    assert ended.returncode
    assert f"Port {port} is taken: try make serve PORT={port + 1}" in ended.stderr
    assert "Traceback" not in ended.stderr
