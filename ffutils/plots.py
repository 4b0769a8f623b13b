"""The book's figures. No other module of ffutils imports this one."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from importlib import resources

import matplotlib.pyplot as plt
import torch
from IPython.display import HTML, SVG
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

# One meaning each, throughout the book: blue and orange are positive and negative data.
POSITIVE, NEGATIVE = "#2a86c8", "#d9600f"
# Layers 1, 2, 3 …, and what stands for all of them together, axes and text included.
LAYERS = ["#2f9e6e", "#8f5bb8", "#6b4a2b", "#c2528b"]
INK = "#4a4f57"
NEUTRAL = "#7f7f7f"  # guide lines
COLORS = [POSITIVE, NEGATIVE, "#009e73", "#a66bbe", "#b8a000", NEUTRAL]


def use_style() -> None:
    """Set matplotlib up: dark ink on white, which the book's dark pages invert."""
    ink = (
        "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "text.color",
        "xtick.color", "ytick.color",
    )  # fmt: skip
    plt.rcParams.update(dict.fromkeys(ink, INK))
    plt.rcParams.update(
        {
            "axes.facecolor": "none",
            "axes.prop_cycle": plt.cycler(color=COLORS),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "figure.constrained_layout.use": True,
            "figure.dpi": 110,
            "figure.facecolor": "white",
            "font.size": 11,
            "legend.frameon": False,
            "savefig.facecolor": "white",
        }
    )


def picture(name: str) -> SVG:
    """The hand-drawn picture of a chapter's idea.

    Args:
        name: of a file in ffutils/pictures, such as "overlay" for overlay.svg.
    """
    file = resources.files("ffutils").joinpath("pictures", f"{name}.svg")
    return SVG(file.read_text(encoding="utf-8"))


def show_images(
    images: Tensor, titles: Sequence | None = None, columns: int = 10, size: float = 1.0
) -> Figure:
    """Draw images in rows, 0 black and 1 white.

    Args:
        images: (N, 784) or (N, 28, 28).
        titles: a text for each image.
        columns: images in a row.
        size: inches for each image.

    Returns:
        The figure.
    """
    images = torch.as_tensor(images).detach().cpu().reshape(-1, 28, 28)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(columns * size, rows * size * (1.25 if titles else 1)),
        squeeze=False,
    )
    for k, ax in enumerate(axes.flat):
        ax.axis("off")
        if k < len(images):
            ax.imshow(images[k], cmap="gray", vmin=0, vmax=1)
            if titles is not None:
                ax.set_title(titles[k], fontsize=10)
    return figure


def show_goodness(
    ax: Axes, positive: Tensor, negative: Tensor, threshold: float = 1.0, limits=None
) -> None:
    """Draw histograms of the goodness of positive and of negative data.

    Args:
        ax: matplotlib's axes.
        positive, negative: goodness (N,).
        threshold: where the dashed line stands.
        limits: the ends of the axis; what lies beyond is counted in the outermost bars.
    """
    positive, negative = positive.detach().cpu(), negative.detach().cpu()
    both = torch.cat([positive, negative])
    low, high = limits or (both.min().item(), both.max().item() + 1e-6)
    bins = torch.linspace(low, high, 60).tolist()
    ax.hist(
        positive.clamp(low, high), bins, color=POSITIVE, alpha=0.75, label="positive"
    )
    ax.hist(
        negative.clamp(low, high), bins, color=NEGATIVE, alpha=0.75, label="negative"
    )
    ax.axvline(threshold, color=NEUTRAL, linestyle="--", label="threshold")
    ax.set(xlabel="goodness", ylabel="images")


def show_receptive_fields(weights: Tensor, columns: int = 10) -> Figure:
    """Draw the incoming weights of units that see pixels: blue above 0, red below.

    Args:
        weights: (units, 784); the largest 1 % of each unit's are drawn alike.
        columns: units in a row.

    Returns:
        The figure.
    """
    weights = weights.detach().cpu().reshape(-1, 28, 28)
    rows = -(-len(weights) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * 0.7, rows * 0.7), squeeze=False
    )
    for ax in axes.flat:
        ax.axis("off")
    for ax, field in zip(axes.flat, weights, strict=False):
        bound = field.abs().quantile(0.99).item()
        ax.imshow(field, cmap="RdBu", vmin=-bound, vmax=bound)
    return figure


def flipbook(
    figures: Sequence[Figure], captions: Sequence[str], alt: str, start: int = -1
) -> HTML:
    """Put figures behind a slider and a button that plays them, without a kernel.

    So they also move in the page. The figures are closed.

    Args:
        figures: matplotlib figures of one size.
        captions: a text for each figure.
        alt: what all of them show.
        start: the index of the figure that is shown first.

    Returns:
        HTML that a notebook shows.
    """
    start %= len(figures)
    frames = []
    for k, (figure, caption) in enumerate(zip(figures, captions, strict=True)):
        data = io.BytesIO()
        figure.savefig(data, format="png", dpi=90)
        plt.close(figure)
        source = base64.b64encode(data.getvalue()).decode()
        text = html.escape(f"{alt}: {caption}", quote=True)
        title = html.escape(caption, quote=True)
        hidden = "" if k == start else " hidden"
        # Drawings are inverted on a dark page; what shows digits or fields is not.
        photo = ' class="photo"' if any(ax.images for ax in figure.axes) else ""
        frames.append(
            f'<img{photo} src="data:image/png;base64,{source}" alt="{text}" '
            f'data-caption="{title}"{hidden}>'
        )
    turn = (
        "const f = this.closest('figure'), i = f.querySelectorAll('img');"
        "i.forEach((img, k) => img.hidden = k != this.value);"
        "f.querySelector('output').value = i[this.value].dataset.caption"
    )
    play = (
        "const r = this.closest('figure').querySelector('input'); "
        "clearInterval(this.timer);"
        "this.timer = this.textContent == 'Play' && setInterval(() => {"
        "r.value = (+r.value + 1) % (+r.max + 1); r.oninput(); }, 700);"
        "this.textContent = this.timer ? 'Pause' : 'Play'"
    )
    return HTML(
        f'<figure class="ff-flipbook">{"".join(frames)}'
        f'<button type="button" onclick="{play}">Play</button>'
        f'<input type="range" min="0" max="{len(figures) - 1}" '
        f'value="{start}" aria-label="{html.escape(alt, quote=True)}" oninput="{turn}">'
        f"<output>{html.escape(captions[start])}</output></figure>"
    )
