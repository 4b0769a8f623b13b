"""The notebook 00_one_page with other seeds, and with the edits that it proposes.

Its own cells are run, as they stand.
"""

import os

import torch
from torch import nn

from experiments.runner import NetTrial, score_errors
from ffutils.files import data_folder
from tools.chapters import ROOT, code_cells, read, source

TITLE = "The algorithm on one page"
PAPER = {"section": "3.3, without its hard negatives", "test_error": None}
CONFIGURATION = {
    "notebook": "00_one_page",
    "epochs": 15,
    "eval_every": 1000,
    "replaced": [],
}
# What is replaced by what in the notebook's code; each pair stands in its text, too.
VARIANTS = {
    "default": {},
    "wrong labels that may be true": {
        "replaced": [
            "(y + torch.randint_like(y, 1, 10)) % 10",
            "y[torch.randperm(len(y), device=device)]",
        ]
    },
    "no normalisation": {
        "replaced": ["h / (h.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()", "h"]
    },
}
SEEDS = (0, 1, 2, 3, 4)
STAGES = ("test",)
LOOP = "for epoch in range(15):"


def page_code(replaced=()):
    """The notebook's code, less its figures: (before, training loop, prediction)."""
    cells = [
        source(cell)
        for cell in code_cells(read(ROOT / "chapters" / "00_one_page.ipynb"))
    ]
    code = "\n\n".join(cell for cell in cells if "# @title" not in cell)
    if replaced:
        old, new = replaced
        if code.count(old) != 1:
            raise ValueError(
                f"the notebook must hold {old!r} once, not {code.count(old)} times"
            )
        code = code.replace(old, new)
    before, after = code.split(LOOP)
    loop, prediction = after.split("\n\n@torch.no_grad()")
    return before, LOOP + loop, "@torch.no_grad()" + prediction


class Trial(NetTrial):
    def __init__(self, configuration, split):
        os.environ.setdefault("FF_DATA", str(data_folder()))
        before, self.loop, prediction = page_code(configuration["replaced"])
        self.page = {}
        # The runner has set the seed.
        exec(before.replace("torch.manual_seed(0)\n", ""), self.page)
        exec(prediction.split("\n\nscores =")[0], self.page)
        self.page["x_train"], self.page["y_train"] = split
        self.net = nn.ModuleList(self.page["net"])
        self.optimizers = [layer.optimizer for layer in self.net]

    def train_epoch(self, epoch):
        exec(self.loop.replace("range(15)", f"[{epoch}]"), self.page)

    @torch.no_grad()
    def errors(self, split):
        per_layer = self.page["label_goodness"](split.images)  # (images, 10, layers)
        scores = {f"layer {k + 1}": per_layer[:, :, k] for k in range(len(self.net))}
        scores["sum without layer 1"] = per_layer[:, :, 1:].sum(dim=2)
        scores["sum of all layers"] = per_layer.sum(dim=2)
        return {"error": score_errors(scores, split.labels)}
