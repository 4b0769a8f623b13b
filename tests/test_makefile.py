"""The Makefile: a copied .venv is noticed, and a taken port is one line with a remedy."""

import shutil
import socket
import subprocess

import pytest

from tools.chapters import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")


@pytest.fixture
def folder(tmp_path):
    """A folder with the Makefile and a .venv that was set up after everything else."""
    for name in ("Makefile", "requirements.txt", "constraints.txt", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").mkdir()
    (tmp_path / "_build" / "html").mkdir(parents=True)
    (tmp_path / "_build" / "html" / "index.html").touch()
    return tmp_path


def make(folder, *arguments):
    return subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("made_in", "anew"),
    [("here", False), ("/somewhere/else", True), ("", True), (None, True)],
)
def test_an_environment_of_another_folder_is_made_anew(folder, made_in, anew):
    if made_in is not None:
        text = str(folder) if made_in == "here" else made_in
        (folder / ".venv" / ".ready").write_text(f"{text}\n")
    planned = make(folder, "-n", "book").stdout
    assert ("-m venv .venv" in planned) == anew
    assert "jupyter-book build" in planned


def test_a_port_that_is_taken_is_said_with_another(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = make(folder, "serve", f"PORT={port}")
    assert ended.returncode
    assert f"Port {port} is taken: try make serve PORT={port + 1}" in ended.stderr
    assert "Traceback" not in ended.stderr
