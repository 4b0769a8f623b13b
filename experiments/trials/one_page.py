"""The notebook 00_one_page with other seeds, and with the edits that it proposes.

Its own cells are run, as they stand.
"""

from __future__ import annotations

import os
from typing import Annotated, Literal

import torch
from pydantic import PositiveInt, model_validator
from torch import nn

from experiments.experiment import FROM_LIST, Config, Experiment, Paper, checked
from experiments.trials.shared import NetTrial, judge, layer_scores
from ffutils.files import data_folder
from tools.chapters import ROOT, code_cells, read, source

DEVICE = 'device = "cuda" if torch.cuda.is_available() else "cpu"\n'
LOOP = "for epoch in range(15):"


@checked
class OnePageConfig(Config):
    """What the notebook has; `replaced` is a piece of its code, and what for it."""

    notebook: Literal["00_one_page"] = "00_one_page"
    epochs: PositiveInt = 15
    replaced: Annotated[tuple[str, ...], FROM_LIST] = ()

    @model_validator(mode="after")
    def check(self) -> OnePageConfig:
        if len(self.replaced) not in (0, 2):
            raise ValueError("replaced: expected two pieces of code, or none")
        return self


def shown_cells():
    """The notebook's code, less its figures."""
    notebook = read(ROOT / "chapters" / "00_one_page.ipynb")
    cells = [source(cell) for cell in code_cells(notebook)]
    return [cell for cell in cells if "# @title" not in cell]


def replace_once(code, old, new):
    if code.count(old) != 1:
        raise ValueError(
            f"the notebook must hold {old!r} once, not {code.count(old)} times"
        )
    return code.replace(old, new)


def page_code(replaced=()):
    """The notebook's code: (before, training loop, prediction)."""
    code = "\n\n".join(shown_cells())
    if replaced:
        code = replace_once(code, *replaced)
    before, after = code.split(LOOP)
    loop, prediction = after.split("\n\n@torch.no_grad()")
    return before, LOOP + loop, "@torch.no_grad()" + prediction


class OnePageTrial(NetTrial):
    def __init__(self, config: OnePageConfig, split):
        os.environ.setdefault("FF_DATA", str(data_folder()))
        before, self.loop, prediction = page_code(config.replaced)
        # The runner has set the seed, and chosen the device.
        before = replace_once(before, "torch.manual_seed(0)\n", "")
        device = f'device = "{split.images.device}"\n'
        before = replace_once(before, DEVICE, device)
        self.page = {}
        exec(before, self.page)
        exec(prediction.split("\n\nscores =")[0], self.page)
        self.page["x_train"], self.page["y_train"] = split
        self.net = nn.ModuleList(self.page["net"])
        self.optimizers = [layer.optimizer for layer in self.net]

    def train_epoch(self, epoch):
        exec(self.loop.replace("range(15)", f"[{epoch}]"), self.page)

    @torch.no_grad()
    def errors(self, split):
        per_layer = self.page["label_goodness"](split.images)  # (images, 10, layers)
        return judge(layer_scores(per_layer), split.labels)

    @staticmethod
    def sources():
        return shown_cells()


ONE_PAGE = Experiment(
    name="one_page",
    title="The algorithm on one page",
    paper=Paper(section="3.3, without its hard negatives"),
    trial=OnePageTrial,
    config=OnePageConfig(),
    # Each pair stands in the notebook's text, too.
    variants={
        "default": {},
        "wrong labels that may be true": {
            "replaced": [
                "(y + torch.randint_like(y, 1, 10)) % 10",
                "y[torch.randperm(len(y), device=device)]",
            ]
        },
        "no normalisation": {
            "replaced": [
                "h / (h.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()",
                "h",
            ]
        },
    },
    seeds=(0, 1, 2, 3, 4),
    stages=("test",),
    core_hours=0.35,
)
