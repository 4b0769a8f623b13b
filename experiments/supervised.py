"""A supervised net in training whose every trick can be set: what closing_the_gap, jittered and ablation share."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from experiments.runner import NetTrial, half_precision
from ffutils import FFLayer, FFNet, goodness, layer_goodness, neutral, normalize, wrong_labels
from ffutils.recipe import cool_down, draw_wrong, drop_pixels, hard_labels, jitter, pair_loss
from ffutils.training import set_lr, train_epoch

# The recipe of chapter 06 without jitter. Every key can be set otherwise; what else each may be is said below.
RECIPE = {
    "network": [784, 500, 500, 500],
    "input": "root mean square 1",  # or "length 1"
    "loss": "pair",  # or "logistic"
    "scale": 30,  # or 0, the layer's width, for the logistic loss
    "threshold": 1,  # of the logistic loss
    "negatives": "hard, by the first layer",  # "hard, by all layers", "hard, by a softmax", "random", "drawn once"
    "label strength": 1,
    "dropped pixels": 0.0,
    "jitter": 0,
    "optimizer": "Adam",
    "lr": 0.003,
    "schedule": "half a cosine",  # or "constant"
    "margin": 0,  # of the layers below that is added, detached, to each layer's own
    "frozen": [],  # layers that stay as they were drawn
    "batch size": 256,
    "epochs": 10,
    "matrix products": "float32",  # or "bfloat16"
    "judge every": 1000,
}


class Layer(FFLayer):
    """An `FFLayer` whose input may be scaled to a length of 1, and whose first ten inputs may be strengthened."""

    def __init__(self, below, above, strength=1, length=None):
        super().__init__(below, above)
        self.strength, self.length = strength, length

    def forward(self, x):
        if self.strength != 1:
            x = torch.cat([self.strength * x[:, :10], x[:, 10:]], dim=1)
        h = normalize(x)
        if self.length is not None:
            h = h * (self.length / x.shape[1] ** 0.5)
        return torch.relu(nn.functional.linear(h, self.weight, self.bias))


class Trial(NetTrial):
    def __init__(self, configuration, split):
        c = self.configuration = configuration
        self.split = split
        device = split.images.device
        self.net = FFNet(*c["network"])
        for k, layer in enumerate(self.net.layers):
            strength, length = c["label strength"] if k == 0 else 1, 1 if c["input"] == "length 1" else None
            if strength != 1 or length:
                self.net.layers[k] = Layer(layer.in_features, layer.out_features, strength, length)
        self.net.to(device)
        self.optimizers = [torch.optim.Adam(layer.parameters(), lr=c["lr"]) for layer in self.net.layers]
        self.trained = [k for k in range(len(self.net.layers)) if k not in c["frozen"]]
        if c["negatives"] == "drawn once":
            self.once = wrong_labels(split.labels)
        if c["negatives"] == "hard, by a softmax":
            self.head = nn.Linear(sum(c["network"][2:]), 10, device=device)
            self.optimizers.append(torch.optim.Adam(self.head.parameters(), lr=0.001))

    def train_epoch(self, epoch):
        c = self.configuration
        lr = c["lr"] * (cool_down(epoch / c["epochs"]) if c["schedule"] == "half a cosine" else 1)
        layers = self.optimizers[: len(self.net.layers)]
        set_lr(layers[:1], lr)
        set_lr(layers[1:], lr * c.get("upper rate", 1))  # a factor that only the ablation's variants set
        with half_precision(self.split.images.device, c["matrix products"] == "bfloat16"):
            train_epoch(
                self.net, self.optimizers, self.split, self.trained, c["batch size"], self.loss, self.negatives,
                self.augment, progress=False,
            )  # fmt: skip

    def augment(self, x):
        c = self.configuration
        if c["jitter"]:
            x = jitter(x, c["jitter"])
        return drop_pixels(x, c["dropped pixels"]) if c["dropped pixels"] else x

    def loss(self, positive, negative):
        """One layer's loss; the layers come in order, the lowest first, after a call of `negatives`."""
        c = self.configuration
        positive, negative = positive.float(), negative.float()  # a goodness needs more than bfloat16's three digits
        if c["loss"] == "logistic":
            scale = c["scale"] or positive.shape[1]
            over, under = goodness(positive) - c["threshold"], c["threshold"] - goodness(negative)
            return (softplus(-scale * over).mean() + softplus(-scale * under).mean()) / 2
        if not c["margin"]:
            return pair_loss(positive, negative, c["scale"])
        own = c["scale"] * (goodness(positive) - goodness(negative))
        value = softplus(-own - self.margin_below).mean()
        self.margin_below = self.margin_below + c["margin"] * own.detach()
        return value

    @torch.no_grad()
    def negatives(self, net, x, y):
        c = self.configuration
        self.margin_below = 0
        match c["negatives"]:
            case "random":
                return wrong_labels(y)
            case "drawn once":  # a function of the image, so that an image keeps its wrong label for good
                return (y + 1 + (255 * x).round().sum(dim=1).long() % 9) % 10
            case "hard, by the first layer":
                with half_precision(x.device, enabled=False):
                    return hard_labels(net, x, y, strength=c["label strength"])
            case "hard, by all layers":
                with half_precision(x.device, enabled=False):
                    return draw_wrong(30 * layer_goodness(net, x).sum(dim=2), y)
            case "hard, by a softmax":
                return draw_wrong(self.softmax_scores(net, x, y), y)
        raise ValueError(f"unknown negatives {c['negatives']!r}")

    def softmax_scores(self, net, x, y):
        """What a softmax on all layers but the first makes of a neutral label; it learns from the batch as it goes."""
        seen = torch.cat([normalize(h.float()) for h in net(neutral(x))[1:]], dim=1)
        with torch.enable_grad():
            scores = self.head(seen).float()
            self.optimizers[-1].zero_grad()
            cross_entropy(scores, y).backward()
        self.optimizers[-1].step()
        return scores.detach()

    def state_dict(self):
        return super().state_dict() | ({"head": self.head.state_dict()} if hasattr(self, "head") else {})

    def load_state_dict(self, state):
        super().load_state_dict(state)
        if "head" in state:
            self.head.load_state_dict(state["head"])
