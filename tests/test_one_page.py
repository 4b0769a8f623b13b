"""The notebook that stands alone: it needs nothing of the book, says what the modules say, and quotes stored runs."""

import ast
import re
from types import SimpleNamespace

import pytest
import torch
import torchvision

from experiments import one_page
from ffutils import FFNet, layer_goodness, load_digits, logistic_loss, normalize, overlay
from ffutils.results import load_results
from tools.chapters import ONE_PAGE, ROOT, code_cells, read, source

PAGE = read(ROOT / "chapters" / f"{ONE_PAGE}.ipynb")
PROSE = "\n\n".join(source(cell) for cell in PAGE["cells"] if cell["cell_type"] == "markdown")


def words_before_the_training():
    for cell in PAGE["cells"]:
        if one_page.LOOP in source(cell):
            return
        if cell["cell_type"] == "markdown":
            yield from source(cell).split()


def printed(cells):
    return "".join("".join(output.get("text", "")) for cell in cells for output in cell["outputs"])


@pytest.fixture
def small(monkeypatch):
    """Let the notebook find 1,500 small digits where it looks for MNIST."""
    splits = load_digits()

    def part(folder, train, download):
        images, labels = splits[0] if train else splits[1]
        return SimpleNamespace(data=(255 * images).round().to(torch.uint8).view(-1, 28, 28), targets=labels)

    monkeypatch.setattr(torchvision.datasets, "MNIST", part)


def run(epochs, change=lambda code: code):
    before, loop, prediction = one_page.page_code()
    page = {}
    exec(change("\n\n".join([before, loop.replace("range(15)", f"range({epochs})"), prediction])), page)
    return page


def test_it_imports_nothing_but_pytorch_and_matplotlib():
    tree = ast.parse("\n".join(source(cell) for cell in code_cells(PAGE)))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} == {"os", "torch", "torchvision", "matplotlib"}


def test_a_copy_that_was_mailed_has_no_dead_link():
    targets = re.findall(r"\]\(([^)]+)\)", PROSE)
    assert targets and all(target.startswith("https://") for target in targets)


def test_the_training_comes_within_300_words():
    assert 0 < len(list(words_before_the_training())) <= 300


def test_it_is_as_short_as_it_says():
    algorithm, whole = map(int, re.search(r"(\d+) lines.*?(\d+) with the data and the report", PROSE).groups())
    lines = [[line for line in source(cell).splitlines() if line.strip()] for cell in code_cells(PAGE)]
    shown = [cell for cell in lines if not cell[0].startswith("# @title")]
    assert len(sum(shown, [])) == whole
    report = next(k for k, line in enumerate(shown[-1]) if line.startswith("scores ="))
    assert len(sum(shown[1:], [])) - len(shown[-1][report:]) == algorithm
    assert all(len(line) <= 88 for cell in lines for line in cell)


def test_it_computes_what_the_modules_compute(small):
    torch.manual_seed(1)
    page = run(1)
    x, y = page["x_test"], page["y_test"]
    assert torch.equal(page["overlay"](x, y), overlay(x, y))
    wrong = torch.stack([page["wrong_labels"](y) for _ in range(50)])
    assert ((wrong >= 0) & (wrong <= 9)).all() and not (wrong == y).any()
    net = FFNet(784, 500, 500, 500)
    for ours, theirs in zip(net.layers, page["net"], strict=True):
        ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        h = page["net"][0](overlay(x, y))
    assert torch.equal(page["normalize"](h), normalize(h))
    loss = (torch.nn.functional.softplus(-page["logit"](h)) + torch.nn.functional.softplus(page["logit"](-2 * h))) / 2
    torch.testing.assert_close(loss.mean(), logistic_loss(h, -2 * h))
    torch.testing.assert_close(page["scores"], layer_goodness(net, x))


def test_it_learns(small, capsys):
    run(12)
    errors = [float(e) for e in re.findall(r"([\d.]+) % test error", capsys.readouterr().out)]
    assert len(errors) == 5 and errors[-1] < 20  # 90 % by chance


def test_without_mnist_it_says_so(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets, "MNIST", offline)
    monkeypatch.setenv("FF_DATA", "elsewhere")
    with pytest.raises(RuntimeError, match="no MNIST in 'elsewhere' and no download: no route to host"):
        run(1)


# ---- What the text says of edits and errors


def test_without_the_detach_pytorch_refuses(small):
    def without(code):
        cut = [line for line in code.splitlines() if ".detach()" not in line]
        assert len(cut) == len(code.splitlines()) - 1
        return "\n".join(cut)

    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        run(1, without)


@pytest.mark.parametrize("variant", [name for name in one_page.VARIANTS if name])
def test_each_edit_is_quoted_as_it_was_measured(variant):
    old, new = one_page.VARIANTS[variant]["replaced"]
    assert f"`{old}`" in PROSE and f"`{new}`" in PROSE
    summary = load_results("one_page")["summary"]
    row = next(line for line in PROSE.splitlines() if f"`{old}`" in line)
    quoted = [float(number) for number in re.findall(r"(\d+\.\d) %", row)]
    measured = summary[variant]["test error"]
    assert quoted and all(
        any(abs(number - error["median"]) <= 0.051 for error in measured.values()) for number in quoted
    ), (quoted, measured)


def test_the_text_quotes_the_stored_seeds():
    errors = load_results("one_page")["summary"][""]["test error"]
    names = {"all but the first": "sum without layer 1", "all layers": "sum of all layers"}
    for key, error in errors.items():
        row = f"| {names.get(key, key)} | {error['median']:.2f} % | {error['least']:.2f} to {error['greatest']:.2f} % |"
        assert row in PROSE
    runs = [run["test error"] for run in load_results("one_page")["runs"] if run["variant"] == ""]
    assert len(runs) == 5
    gains = [min(e["layer 1"], e["layer 2"], e["layer 3"]) - e["all layers"] for e in runs]
    assert f"best single layer, by {min(gains):.1f} to {max(gains):.1f} points" in PROSE


def test_the_stored_output_is_that_of_a_stored_seed():
    seen = dict(re.findall(r"^(.+): ([\d.]+) % test error", printed(code_cells(PAGE)), re.MULTILINE))
    assert len(seen) == 5
    spread = load_results("one_page")["summary"][""]["test error"]["all layers"]
    assert spread["least"] - 0.1 <= float(seen["sum of all layers"]) <= spread["greatest"] + 0.1
