"""The book's figures show what they were given."""

import re
from importlib import resources
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.colors import to_rgb

from ffutils import plots
from ffutils.layers import FFLayer
from tools.chapters import ROOT


@pytest.fixture(autouse=True)
def figures():
    """Draw on no screen, and leave neither figures nor settings behind."""
    plt.switch_backend("agg")
    with plt.rc_context():
        yield
    plt.close("all")


def drawn(figure):
    """The images on a figure's axes, as tensors."""
    return [
        torch.as_tensor(image.get_array().copy())
        for ax in figure.axes
        for image in ax.images
    ]


def test_show_images_draws_each_image_once_with_its_title():
    images = torch.rand(7, 784)
    figure = plots.show_images(images, titles=list("abcdefg"), columns=3)
    assert all(
        torch.equal(a, b.view(28, 28))
        for a, b in zip(drawn(figure), images, strict=True)
    )
    assert [ax.get_title() for ax in figure.axes] == [*"abcdefg", "", ""]
    assert all(image.get_clim() == (0, 1) for ax in figure.axes for image in ax.images)


def test_show_images_takes_pictures_and_tensors_that_need_gradients():
    figure = plots.show_images(torch.rand(2, 28, 28, requires_grad=True))
    assert len(drawn(figure)) == 2


def test_show_goodness_counts_every_image():
    positive, negative = 1 + torch.rand(50), torch.rand(30)
    _, ax = plt.subplots()
    plots.show_goodness(ax, positive, negative, threshold=1.0)
    assert [sum(bar.get_height() for bar in bars) for bars in ax.containers] == [50, 30]
    assert {"positive", "negative", "threshold"} == set(
        ax.get_legend_handles_labels()[1]
    )
    assert ax.lines[0].get_xdata()[0] == 1.0
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("goodness", "images")


def test_show_goodness_counts_what_lies_beyond_the_limits_in_the_outermost_bars():
    _, ax = plt.subplots()
    plots.show_goodness(
        ax, torch.tensor([0.5, 99.0]), torch.tensor([-3.0, 0.5]), limits=(0.0, 2.0)
    )
    positive, negative = ([bar.get_height() for bar in bars] for bars in ax.containers)
    assert positive[-1] == negative[0] == 1
    assert sum(positive) == sum(negative) == 2


def test_show_receptive_fields_draws_the_weights_of_each_unit():
    weights = FFLayer(784, 5).weight
    fields = drawn(plots.show_receptive_fields(weights, columns=3))
    assert all(
        torch.equal(a, b.view(28, 28))
        for a, b in zip(fields, weights.detach(), strict=True)
    )


def test_flipbook_shows_one_frame_at_a_time_and_describes_each():
    frames = [plots.show_images(torch.rand(1, 784)) for _ in range(3)]
    page = plots.flipbook(
        frames, ["epoch 1", "epoch 2", "<last>"], alt='weights & "fields"'
    ).data
    images = re.findall("<img .*?>", page)
    assert ["hidden" in image for image in images] == [True, True, False]
    assert 'alt="weights &amp; &quot;fields&quot;: epoch 1"' in images[0]
    assert "<output>&lt;last&gt;</output>" in page
    assert 'max="2" value="2"' in page
    assert ">Play</button>" in page
    assert not plt.get_fignums()  # or a notebook would draw them a second time
    assert "http" not in page


def test_flipbook_needs_a_caption_for_each_figure():
    with pytest.raises(ValueError, match="shorter|longer"):
        plots.flipbook([plt.figure(), plt.figure()], ["only one"], alt="x")


def luminance(color):
    """As WCAG 2 defines it."""
    channels = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in to_rgb(color)
    )  # fmt: skip
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), channels, strict=True))


def contrast(color, ground):
    dark, light = sorted((luminance(color), luminance(ground)))
    return (light + 0.05) / (dark + 0.05)


def test_ink_can_be_read_and_colours_be_told_from_the_page():
    plots.use_style()
    figure, ax = plt.subplots()
    ground, ink = figure.get_facecolor(), ax.xaxis.label.get_color()
    assert ground[3] == 1  # so that a dark notebook shows it, too
    assert contrast(ink, ground) > 4.5
    for color in (plots.POSITIVE, plots.NEGATIVE, *plots.LAYERS):
        assert contrast(color, ground) > 3, color
    assert len({plots.POSITIVE, plots.NEGATIVE, plots.INK, *plots.LAYERS}) == 7


def test_a_dark_page_can_be_read_as_well():
    """The book's dark theme inverts a figure by 0.91."""
    css = (ROOT / "_static" / "book.css").read_text(encoding="utf-8")
    amount = float(re.search(r"filter: invert\((\d\.\d+)\) hue-rotate", css)[1])
    ink, white = (
        [amount * (1 - c) + (1 - amount) * c for c in to_rgb(color)]
        for color in (plots.INK, "white")
    )
    assert contrast(ink, white) > 4.5


def test_every_picture_can_be_shown():
    names = [
        file.name for file in resources.files("ffutils").joinpath("pictures").iterdir()
    ]
    for name in names:
        assert ElementTree.fromstring(
            plots.picture(name.removesuffix(".svg")).data
        ).tag.endswith("svg")
    assert names


def test_a_picture_that_is_not_there_is_an_error():
    with pytest.raises(FileNotFoundError, match="missing.svg"):
        plots.picture("missing")
