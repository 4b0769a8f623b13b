"""The notebook that stands alone: it needs no module, agrees with them, quotes runs."""

import ast
import re
from types import SimpleNamespace

import pytest
import torch
import torchvision
from torch.nn.functional import softplus

from experiments.tables import stored
from experiments.trials import one_page
from ffutils import (
    FFNet,
    label_goodness_per_layer,
    load_digits,
    logistic_loss,
    normalize,
    overlay,
)
from tools.chapters import ONE_PAGE, ROOT, code_cells, read, source

PAGE = read(ROOT / "chapters" / f"{ONE_PAGE}.ipynb")
PROSE = "\n\n".join(
    source(cell) for cell in PAGE["cells"] if cell["cell_type"] == "markdown"
)


def words_before_the_training():
    for cell in PAGE["cells"]:
        if one_page.LOOP in source(cell):
            return
        if cell["cell_type"] == "markdown":
            yield from source(cell).split()


def printed(cells):
    return "".join(
        "".join(output.get("text", "")) for cell in cells for output in cell["outputs"]
    )


@pytest.fixture
def small(monkeypatch):
    """Let the notebook find 1,500 small digits where it looks for MNIST."""
    splits = load_digits()

    def small_mnist(folder, train, download):
        images, labels = splits[0] if train else splits[1]
        pixels = (255 * images).round().to(torch.uint8).view(-1, 28, 28)
        return SimpleNamespace(data=pixels, targets=labels)

    monkeypatch.setattr(torchvision.datasets, "MNIST", small_mnist)


def run(epochs, change=lambda code: code):
    before, loop, prediction = one_page.page_code()
    page = {}
    loop = loop.replace("range(15)", f"range({epochs})")
    exec(change("\n\n".join([before, loop, prediction])), page)
    return page


def test_it_imports_nothing_but_pytorch_and_matplotlib():
    tree = ast.parse("\n".join(source(cell) for cell in code_cells(PAGE)))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    packages = {name.split(".")[0] for name in names}
    assert packages == {"os", "torch", "torchvision", "matplotlib"}


def test_a_copy_that_was_mailed_has_no_dead_link():
    targets = re.findall(r"\]\(([^)]+)\)", PROSE)
    assert targets and all(target.startswith("https://") for target in targets)


def test_the_training_comes_within_300_words():
    assert 0 < len(list(words_before_the_training())) <= 300


def test_it_is_as_short_as_it_says():
    stated = re.search(r"(\d+) lines.*?(\d+) with the data and the report", PROSE)
    algorithm, whole = map(int, stated.groups())
    lines = [
        [line for line in source(cell).splitlines() if line.strip()]
        for cell in code_cells(PAGE)
    ]
    shown = [cell for cell in lines if not cell[0].startswith("# @title")]
    assert len(sum(shown, [])) == whole
    report = [line.startswith("scores =") for line in shown[-1]].index(True)
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
    loss = (softplus(-page["logit"](h)) + softplus(page["logit"](-2 * h))) / 2
    torch.testing.assert_close(loss.mean(), logistic_loss(h, -2 * h))
    torch.testing.assert_close(page["scores"], label_goodness_per_layer(net, x))


def test_it_learns(small, capsys):
    run(12)
    output = capsys.readouterr().out
    errors = [float(error) for error in re.findall(r"([\d.]+) % test error", output)]
    assert len(errors) == 5 and errors[-1] < 20  # 90 % by chance


def test_without_mnist_it_says_so(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets, "MNIST", offline)
    monkeypatch.setenv("FF_DATA", "elsewhere")
    message = "no MNIST in 'elsewhere' and no download: no route to host"
    with pytest.raises(RuntimeError, match=message):
        run(1)


# ---- What the text says of edits and errors


def five_seeds(variant):
    """The stored record; the text was written when it had all of the variant's seeds."""
    record = stored("one_page") or {"runs": []}
    if sum(run["variant"] == variant for run in record["runs"]) < 5:
        pytest.skip("fewer seeds are stored than the page was written from")
    return record


def test_without_the_detach_pytorch_refuses(small):
    def without(code):
        cut = [line for line in code.splitlines() if ".detach()" not in line]
        assert len(cut) == len(code.splitlines()) - 1
        return "\n".join(cut)

    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        run(1, without)


@pytest.mark.parametrize(
    "variant", [v for v in one_page.ONE_PAGE.variants if v != "default"]
)
def test_each_edit_is_quoted_as_it_was_measured(variant):
    old, new = one_page.ONE_PAGE.variants[variant]["replaced"]
    assert f"`{old}`" in PROSE and f"`{new}`" in PROSE
    summary = five_seeds(variant)["summary"]
    row = next(line for line in PROSE.splitlines() if f"`{old}`" in line)
    quoted = [float(number) for number in re.findall(r"(\d+\.\d) %", row)]
    measured = summary[variant]["test_error"]
    assert quoted, row
    for number in quoted:
        medians = [error["median"] for error in measured.values()]
        assert min(abs(number - median) for median in medians) <= 0.051, (row, medians)


def test_the_text_quotes_the_stored_seeds():
    record = five_seeds("default")
    for key, error in record["summary"]["default"]["test_error"].items():
        span = f"{error['least']:.2f} to {error['greatest']:.2f} %"
        assert f"| {key} | {error['median']:.2f} % | {span} |" in PROSE
    errors = [
        run["test_error"] for run in record["runs"] if run["variant"] == "default"
    ]
    gains = [
        min(e["layer 1"], e["layer 2"], e["layer 3"]) - e["sum of all layers"]
        for e in errors
    ]
    stated = f"best single layer, by {min(gains):.1f} to {max(gains):.1f} points"
    assert stated in PROSE


def test_the_stored_output_is_that_of_a_stored_seed():
    output = printed(code_cells(PAGE))
    errors = dict(re.findall(r"^(.+): ([\d.]+) % test error", output, re.MULTILINE))
    assert len(errors) == 5
    summary = five_seeds("default")["summary"]["default"]["test_error"]
    spread, error = summary["sum of all layers"], float(errors["sum of all layers"])
    assert spread["least"] - 0.1 <= error <= spread["greatest"] + 0.1
