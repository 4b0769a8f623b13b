"""What runs on GitHub, as far as it can be known without GitHub: no code of a fork on a
runner of ours, nothing published untested, every command there is.

That actions are pinned, that permissions are few and that no run block is a template is
zizmor's to check (`make test STEPS=workflows`).
"""

import json
import re
import shlex
import shutil
import subprocess
import tomllib

import pytest
import yaml

from tools import check
from tools.chapters import ROOT, chapter_files

GITHUB = ROOT / ".github"
HOSTED = {"ubuntu-latest", "windows-latest", "macos-latest"}
# Whoever can push to this repository, or the clock.
TRUSTED = {"schedule", "workflow_dispatch"}


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


WORKFLOWS = {
    path.name: load(path) for path in sorted((GITHUB / "workflows").glob("*.yml"))
}
ACTIONS = {
    str(path.parent.relative_to(ROOT)): load(path)
    for path in sorted((GITHUB / "actions").glob("*/action.yml"))
}
JOBS = {
    (file, name): job
    for file, workflow in WORKFLOWS.items()
    for name, job in workflow["jobs"].items()
}
STEPS = [step for job in JOBS.values() for step in job.get("steps", [])] + [
    step for action in ACTIONS.values() for step in action["runs"]["steps"]
]
COMMANDS = [step["run"] for step in STEPS if "run" in step]


def triggers(file):
    """The events that start a workflow; YAML 1.1 reads the key `on` as True."""
    return set(WORKFLOWS[file][True])


def runs_on(job):
    """The runners that a job may get, with what a matrix says put in."""
    matrix = job.get("strategy", {}).get("matrix", {})
    name = job["runs-on"]
    found = re.fullmatch(r"\$\{\{ matrix\.(\w+) \}\}", name)
    return set(matrix[found[1]]) if found else {name}


def words(command):
    """The words of each simple command of a run block."""
    lines = command.replace("\\\n", " ").splitlines()
    for line in lines:
        try:
            split = shlex.split(line, comments=True)
        except ValueError:  # a quotation over several lines
            split = line.split()
        yield [word.strip("'\"") for word in split]


def test_a_runner_of_ours_never_runs_a_forks_code():
    ours = {
        file
        for (file, _), job in JOBS.items()
        if "uses" not in job and not runs_on(job) <= HOSTED
    }
    assert ours == {"gpu.yml"}
    assert triggers("gpu.yml") <= TRUSTED


def test_a_gpu_runs_only_what_a_branch_or_tag_of_this_repository_holds(tmp_path):
    """The script itself, in a repository with a branch, a tag, and a fork's commit."""
    jobs = WORKFLOWS["gpu.yml"]["jobs"]
    script = next(s["run"] for s in jobs["commit"]["steps"] if s.get("id") == "find")
    for name in set(jobs) - {"commit", "report"}:
        assert jobs[name]["needs"] == "commit"
        checkout = jobs[name]["steps"][0]["with"]
        assert checkout["ref"] == "${{ needs.commit.outputs.sha }}"

    def git(folder, *arguments):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        return subprocess.run(
            ["git", *identity, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    if shutil.which("git") is None:
        pytest.skip("no git here")
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    git(there, "init", "-b", "main")
    commits = []
    for message in ("first", "second"):
        git(there, "commit", "--allow-empty", "-m", message)
        commits.append(git(there, "rev-parse", "HEAD"))
    git(there, "tag", "v1", "HEAD~1")
    git(there, "checkout", "--detach")
    git(there, "commit", "--allow-empty", "-m", "a fork's")
    forks = git(there, "rev-parse", "HEAD")
    git(there, "update-ref", "refs/pull/1/head", forks)
    git(there, "checkout", "main")
    git(tmp_path, "clone", str(there), "here")
    # Even where the commit is at hand, it must not pass.
    git(here, "fetch", "origin", "refs/pull/1/head")

    def find(ref):
        output = tmp_path / "output"
        output.write_text("")
        ended = subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=here,
            env={"PATH": shutil.os.environ["PATH"], "REF": ref}
            | {"GITHUB_OUTPUT": str(output)},
            capture_output=True,
            text=True,
        )
        return ended.returncode, output.read_text().strip().removeprefix("sha=")

    assert find("main") == (0, commits[1])
    assert find("v1") == (0, commits[0])
    assert find(commits[0]) == (0, commits[0])
    for wrong in (forks, "refs/pull/1/head", "FETCH_HEAD", "nonsense", "--all", "-x"):
        assert find(wrong) == (1, ""), wrong


def test_nothing_is_published_but_what_passed_every_test_and_knows_its_address():
    assert triggers("publish.yml") == {"workflow_call"}
    callers = {
        place
        for place, job in JOBS.items()
        if job.get("uses", "").endswith("/publish.yml")
    }
    assert callers == {("test.yml", "publish")}
    tests = WORKFLOWS["test.yml"]["jobs"]
    publish = tests["publish"]
    assert set(publish["needs"]) == set(tests) - {"publish"}
    assert publish["if"] == (
        "github.ref == 'refs/heads/main' && github.event_name != 'pull_request'"
    )
    # A job that may fail would pass for one that has not.
    assert not [job for job in tests.values() if "continue-on-error" in job]
    commands = [
        step.get("run", "")
        for step in WORKFLOWS["publish.yml"]["jobs"]["render"]["steps"]
    ]
    address = next(c for c in commands if "repository.py --check" in c)
    assert commands.index(address) < commands.index("make book")


def test_what_runs_by_the_clock_opens_an_issue_when_it_fails():
    timed = [file for file in WORKFLOWS if "schedule" in triggers(file)]
    assert timed
    for file in timed:
        jobs = WORKFLOWS[file]["jobs"]
        report = jobs["report"]
        assert report["uses"] == "./.github/workflows/report.yml"
        waited = (
            {report["needs"]} if isinstance(report["needs"], str) else report["needs"]
        )
        others = set(jobs) - {"report"}
        assert set(waited) | {jobs[name].get("needs") for name in waited} >= others
        assert "failure()" in report["if"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_block_is_bash(command):
    ended = subprocess.run(
        ["bash", "-n"], input=command, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr


def test_what_a_run_block_calls_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    developing = json.loads(without_comments(".devcontainer/devcontainer.json"))
    hooks = load(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]
    everything = [
        *COMMANDS,
        *(hook["entry"] for hook in hooks),
    ]
    made, steps, files = set(), set(), set()
    for command in everything:
        for line in words(command):
            for place, word in enumerate(line):
                if word == "make":
                    made.add(line[place + 1])
                if word.startswith("STEPS="):
                    steps |= set(word.removeprefix("STEPS=").split())
                if word == "tools/check.py":
                    steps |= set(line[place + 1 :])
                if re.match(r"(tests|tools|chapters|\.ci)/|[\w-]+\.(txt|md)$", word):
                    files.add(word)
    assert {"test", "book"} <= made <= targets
    assert steps and steps <= set(check.STEPS), steps - set(check.STEPS)
    assert files
    assert not [file for file in files if not list(ROOT.glob(file))]
    assert "make .venv/.lab" in developing["postCreateCommand"]
    assert "LAB = .venv/.lab" in makefile


def without_comments(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)


def test_every_step_of_the_check_runs_on_github():
    tested = " ".join(
        step.get("run", "")
        for job in WORKFLOWS["test.yml"]["jobs"].values()
        for step in job.get("steps", [])
    )
    run = {
        name
        for steps in re.findall(r'STEPS="([^"]+)"', tested)
        for name in steps.split()
    }
    assert run == set(check.STEPS)


def test_the_oldest_python_that_is_promised_is_tested_and_none_older():
    promised = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    oldest = promised["project"]["requires-python"].removeprefix(">=")
    matrices = [
        job["strategy"]["matrix"]["python"]
        for job in JOBS.values()
        if "python" in job.get("strategy", {}).get("matrix", {})
    ]
    assert len(matrices) == 2  # every change, and every night
    for versions in matrices:
        assert min(versions, key=as_numbers) == oldest
    set_up = [
        step["with"]["python-version"]
        for step in STEPS
        if "python-version" in step.get("with", {})
    ]
    fixed = [version for version in set_up if not version.startswith("${{")]
    assert all(as_numbers(version) >= as_numbers(oldest) for version in fixed)


def as_numbers(version):
    return tuple(map(int, version.split(".")))


def test_a_bug_can_be_reported_for_every_chapter():
    form = load(GITHUB / "ISSUE_TEMPLATE" / "chapter.yml")
    options = form["body"][0]["attributes"]["options"]
    assert options[:-1] == [path.stem for path in chapter_files()]
