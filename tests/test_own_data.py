"""Chapter 15's routes on other data: leaves of three kinds, letters of 26, measurements."""

import ast
import random
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps
from sklearn.model_selection import StratifiedGroupKFold
from tiny_chapters import run_chapter
from torch.nn.functional import pad
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms.v2.functional import pil_to_tensor

from ffutils import (
    RECIPE,
    FFNet,
    Split,
    error_rate,
    hard_negatives,
    jitter,
    layer_errors,
    load_net,
    predict,
    save_net,
    split_validation,
    train,
)
from tools.chapters import ROOT, code_cells, parse, read, source

CHAPTER = ROOT / "chapters" / "15_your_own_data.ipynb"
QUIET = {"progress": False}
LEAVES = {"beech": 1.0, "maple": 0.6, "oak": 0.3}  # how wide a leaf is for its height


def draw_leaf(kind, dice):
    """A green leaf on dark ground, in a photograph whose size differs each time."""
    width, height = dice.randint(40, 60), dice.randint(40, 60)
    image = Image.new("RGB", (width, height), (20, 20, 20))
    half = 0.35 * height
    box = [
        width / 2 - half * LEAVES[kind],
        height / 2 - half,
        width / 2 + half * LEAVES[kind],
        height / 2 + half,
    ]
    ImageDraw.Draw(image).ellipse(box, fill=(40, dice.randint(150, 255), 60))
    return image.rotate(dice.uniform(-15, 15))


def draw_letter(letter, typeface, dice):
    image = Image.new("L", (56, 56))
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{typeface}.ttf")
    font = ImageFont.truetype(file, dice.randint(34, 42))
    place = 28 + dice.randint(-3, 3), 28 + dice.randint(-3, 3)
    ImageDraw.Draw(image).text(place, letter, 255, font, anchor="mm")
    return image.rotate(dice.uniform(-10, 10)).resize((20, 20))


def defined_by_the_chapter(*names):
    """The chapter's functions of those names, which may call one another."""
    space = {"pad": pad, "pil_to_tensor": pil_to_tensor, "Image": Image}
    space |= {"ImageOps": ImageOps, "load_net": load_net, "predict": predict}
    space |= {"torch": torch}
    for cell in code_cells(read(CHAPTER)):
        for node in parse(source(cell)).body:
            if isinstance(node, ast.FunctionDef) and node.name in names:
                exec(ast.unparse(node), space)
    return [space[name] for name in names]


prepare_image, name_photo = defined_by_the_chapter("prepare_image", "name_photo")


def preparation(n_classes, size, gray=False):
    """The chapter's `prepare`."""
    return partial(prepare_image, size=size, gray=gray, n_classes=n_classes)


@pytest.fixture(scope="module")
def leaves(tmp_path_factory):
    folder, dice = tmp_path_factory.mktemp("leaves"), random.Random(0)
    for kind in LEAVES:
        (folder / kind).mkdir()
        for k in range(60):
            draw_leaf(kind, dice).save(folder / kind / f"{k}.jpg")
    return folder


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    folder, dice = tmp_path_factory.mktemp("letters"), random.Random(0)
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        (folder / letter).mkdir()
        for k, typeface in enumerate(["DejaVuSans", "DejaVuSerif", "cmr10"] * 12):
            image = draw_letter(letter, typeface, dice)
            image.save(folder / letter / f"{k}.png")
    return folder


def all_of(files):
    return Split(*next(iter(DataLoader(files, batch_size=len(files)))))


def trained(split, n_classes, **settings):
    torch.manual_seed(0)
    net = FFNet(split.images.shape[1], 100, 100, n_classes=n_classes)
    train(net, split, **(RECIPE | {"batch_size": 50} | settings), **QUIET)
    return net


# ---- Routes


def test_a_folder_of_colour_photographs_of_three_kinds(leaves, tmp_path):
    prepare = preparation(3, size=32)
    files = ImageFolder(leaves, transform=prepare)
    assert files.classes == list(LEAVES)
    train_split, validation = split_validation(all_of(files))
    assert train_split.images.shape == (150, 3 + 3 * 32 * 32)
    assert not train_split.images[:, :3].any()
    net = trained(train_split, 3, epochs=20)
    errors = layer_errors(net, validation)
    assert errors["sum of all layers"] < 15, errors

    how = {"size": 32, "gray": False}
    save_net(net, tmp_path / "leaves.pt", classes=files.classes, prepare=how)
    loaded, facts = load_net(tmp_path / "leaves.pt", with_facts=True)
    assert facts == {"classes": list(LEAVES), "prepare": how}
    assert loaded.n_classes == 3
    dice, named = random.Random(1), []
    for kind in LEAVES:
        for _ in range(10):
            draw_leaf(kind, dice).save(tmp_path / "new.jpg")
            named.append(name_photo(tmp_path / "leaves.pt", tmp_path / "new.jpg"))
    assert (
        sum(
            a == kind
            for a, kind in zip(named, np.repeat(list(LEAVES), 10), strict=True)
        )
        > 24
    )


def test_a_folder_of_letters_of_26_kinds(letters):
    files = ImageFolder(letters, transform=preparation(26, 20, gray=True))
    train_split, validation = split_validation(all_of(files))
    assert set(train_split.labels.tolist()) == set(range(26))
    net = trained(train_split, 26, epochs=20)
    error = layer_errors(net, validation)["sum of all layers"]
    assert error < 40, error  # 96 % by guessing
    wrong = hard_negatives(net, validation.images, validation.labels)
    assert wrong.max() > 9 and not (wrong == validation.labels).any()


@pytest.mark.parametrize("mode", ["L", "P", "1", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("gray, channels", [(True, 1), (False, 3)])
def test_every_kind_of_image_becomes_a_row_of_the_same_length(mode, gray, channels):
    row = prepare_image(Image.new(mode, (40, 30)), 8, gray, 3)
    assert row.shape == (3 + channels * 64,) and row.dtype == torch.float32
    assert not row[:3].any() and row.min() >= 0 and row.max() <= 1


def test_a_wide_photograph_loses_its_sides_and_a_turned_one_is_turned_back(tmp_path):
    wide = Image.new("L", (60, 20))
    wide.paste(255, (20, 0, 40, 10))  # white above, in the middle
    row = prepare_image(wide, 20, True, 2)
    rows = row[2:].view(20, 20)
    assert rows[:9].min() > 0.9 and rows[11:].max() < 0.1
    exif = Image.Exif()
    exif[0x0112] = 3  # held upside down
    wide.rotate(180).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        assert torch.equal(prepare_image(turned, 20, True, 2), row)


def test_a_loader_of_a_part_of_the_files(leaves):
    files = ImageFolder(leaves, transform=preparation(3, 16))
    rows = torch.randperm(len(files)).tolist()
    loaders = [
        DataLoader(Subset(files, part), batch_size=32, shuffle=True)
        for part in (rows[30:], rows[:30])
    ]
    torch.manual_seed(0)
    net = FFNet(3 + 3 * 16 * 16, 100, 100, n_classes=3)
    train(net, loaders[0], **(RECIPE | {"epochs": 15}), **QUIET)
    joined = Split(*map(torch.cat, zip(*loaders[1], strict=True)))
    assert len(joined.labels) == 30
    assert layer_errors(net, joined)["sum of all layers"] < 25


def test_a_csv_gives_what_the_folder_gives(letters, tmp_path):
    files = ImageFolder(letters, transform=preparation(26, 20, gray=True))
    rows = ["class," + ",".join(map(str, range(400)))]
    for path, label in files.samples[::7]:
        numbers = np.asarray(Image.open(path)).ravel()
        rows.append(",".join([files.classes[label], *map(str, numbers)]))
    (tmp_path / "letters.csv").write_text("\n".join(rows), encoding="utf-8")

    table = np.loadtxt(tmp_path / "letters.csv", delimiter=",", skiprows=1, dtype=str)
    names, labels = np.unique(table[:, 0], return_inverse=True)
    pixels = torch.from_numpy(table[:, 1:].astype("float32")) / 255
    images, folder_labels = all_of(files)
    assert names.tolist() == files.classes
    assert torch.equal(torch.from_numpy(labels), folder_labels[::7])
    torch.testing.assert_close(pad(pixels, (26, 0)), images[::7])


@pytest.mark.parametrize("name, count", [("wine", 3), ("breast_cancer", 2)])
def test_measurements(name, count):
    from sklearn import datasets
    from sklearn.preprocessing import MinMaxScaler

    columns, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    parts = split_validation(
        Split(torch.from_numpy(columns), torch.from_numpy(labels).long())
    )
    scaler = MinMaxScaler(clip=True).fit(parts[0].images)
    ready = [
        Split(
            pad(torch.from_numpy(scaler.transform(p.images)).float(), (count, 0)),
            p.labels,
        )
        for p in parts
    ]
    net = trained(ready[0], count, epochs=30, batch_size=32)
    assert error_rate(predict(net, ready[1].images), ready[1].labels) < 15


def test_an_image_is_shifted_and_its_inputs_for_the_label_are_not():
    x = pad(torch.rand(20, 3 * 8 * 8), (3, 0))
    with pytest.raises(ValueError, match="square images"):
        jitter(x)
    moved = pad(jitter(x[:, 3:], channels=3), (3, 0))
    assert moved.shape == x.shape and not moved[:, :3].any()


# ---- What is said when something is wrong

X, Y = torch.rand(60, 23), torch.arange(60) % 3
NAMES = ["beech", "maple", "oak"] * 20


@pytest.mark.parametrize(
    "data, error, message",
    [
        (Split(255 * X, Y), ValueError, r"got 0.* to 25.*; try images / 255"),
        (Split(2 * X - 1, Y), ValueError, "do not standardise"),
        (Split(X, Y + 1), ValueError, "counted from 1; try labels - 1"),
        (Split(X, Y + 2), ValueError, r"the number of classes is the net's"),
        (Split(X, Y * 2), ValueError, r"the number of classes is the net's"),
        (Split(X, NAMES), TypeError, r"number the names: numpy.unique\(names"),
        (Split(X, np.array(NAMES)), TypeError, "number the names"),
        (Split(X, np.array(NAMES, object)), TypeError, "number the names"),
        (Split(X, Y.tolist()), TypeError, r"try torch.tensor\(values\)"),
        (Split(X, Y.numpy()), TypeError, r"try torch.from_numpy\(array\)"),
        (Split(X[:, 3:], Y), ValueError, r"a net for them: FFNet\(20, …\)"),
        (Split(X[:, None], Y), ValueError, r"try images.flatten\(1\)$"),
        (Split(X.double(), Y), TypeError, "torch.float64"),
    ],
)
def test_a_mistake_says_what_to_do(data, error, message):
    net = FFNet(23, 10, n_classes=3)
    with pytest.raises(error, match=message):
        train(net, data, epochs=1, **QUIET)


def test_a_photograph_of_another_size_says_what_to_do():
    net = FFNet(23, 10, n_classes=3)
    with pytest.raises(ValueError, match=r"\(batch, 23\), got \(1, 20\); prepare them"):
        predict(net, X[:1, 3:])
    with pytest.raises(ValueError, match=r"try images.reshape\(1, -1\)$"):
        predict(net, X[0])


def test_errors_of_a_loader_or_a_folder_say_what_to_do(leaves):
    files = ImageFolder(leaves, transform=preparation(3, 4))
    net = FFNet(3 + 48, 10, n_classes=3)
    with pytest.raises(TypeError, match="join its batches"):
        layer_errors(net, DataLoader(files, batch_size=60))
    with pytest.raises(TypeError, match="put a DataLoader around it"):
        layer_errors(net, files)


def test_class_names_of_numpy_are_refused_with_advice(tmp_path):
    names = np.unique(NAMES)
    with pytest.raises(TypeError, match=r"its \.tolist\(\)"):
        save_net(FFNet(23, 10, n_classes=3), tmp_path / "net.pt", classes=names)
    save_net(FFNet(23, 10, n_classes=3), tmp_path / "net.pt", classes=names.tolist())


# ---- The chapter


MY_FOLDER = '# folder, place_of = Path("/home/me/letters"), str  # yours'
MY_FILE = 'file = home / "tumours.csv"  # yours: Path("/home/me/leaves.csv")'


def write_leaves(folder):
    """Files as a camera numbers them: their names tell nothing of a place."""
    dice, number = random.Random(0), 0
    for kind in LEAVES:
        (folder / kind).mkdir(parents=True)
        for _ in range(24):
            number += 1
            draw_leaf(kind, dice).save(folder / kind / f"IMG_{number:04}.jpg")


def write_csv(file, quote='"', before=" "):
    """A table as a spreadsheet writes it: words first, some fields empty or quoted."""
    dice, lines = random.Random(0), []
    for kind, length in (("oak", 12), ("elm", 7), ("black poplar", 3)):
        for k in range(100):
            width = "" if k % 7 == 3 else f"{dice.uniform(0.3, 0.9):.2f}"
            long = f"{quote}{length + dice.uniform(-1, 1):.2f}{quote}"
            lines.append(f"{quote}{kind}{quote},{long},{before}{width}\r\n")
    dice.shuffle(lines)
    text = 'kind,length,"width, mean"\r\n' + "".join(lines)
    file.write_bytes(text.encode("utf-8-sig"))


def lines_of(marker, start, space):
    """Run the cell that holds the marker, with the line for a reader's own filled in."""
    (cell,) = [c for c in code_cells(read(CHAPTER)) if marker in source(c)]
    exec(source(cell).replace(*start), space)
    return space


@pytest.mark.filterwarnings("error::UserWarning")  # such as scikit-learn's
def test_a_readers_folder_and_csv_take_the_place_of_the_chapters(tmp_path):
    write_leaves(tmp_path / "leaves")
    write_csv(tmp_path / "trees.csv")
    swaps = {
        MY_FOLDER: MY_FOLDER[2:].replace("/home/me/letters", str(tmp_path / "leaves")),
        MY_FILE: f'file = Path(r"{tmp_path / "trees.csv"}")',
    }
    seen = []

    def edit(text):
        for old, new in swaps.items():
            seen.extend([old] * text.count(old))
            text = text.replace(old, new)
        return text

    matplotlib.use("agg")
    space = run_chapter(CHAPTER, edit)
    assert sorted(seen) == sorted(swaps)

    assert space["classes"] == list(LEAVES) and len(set(space["places"])) == 72
    for rows in (space["test"], *space["folds"]):
        assert space["data"].labels[rows].bincount().tolist() == [4, 4, 4]
    assert space["test_error"] < 50 and space["same"] == len(space["some"])
    _, facts = load_net(space["home"] / "mine.pt", with_facts=True)
    assert facts == {"classes": list(LEAVES), "prepare": space["PREPARE"]}

    assert space["row_error"] < 20
    _, facts = load_net(space["home"] / "table.pt", with_facts=True)
    assert facts["classes"] == ["black poplar", "elm", "oak"]
    again = space["prepare_rows"](
        space["measured"].images, **facts["scaling"], n_classes=3
    )
    assert torch.equal(again, space["ready"].images) and not again.isnan().any()
    asked = [
        space["name_row"](space["home"] / "table.pt", row) for row in space["columns"]
    ]
    here = predict(space["row_net"], space["ready"].images)
    assert asked == [facts["classes"][k] for k in here.tolist()]


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("before", ["", " "])
def test_the_csv_of_a_spreadsheet_is_read(tmp_path, quote, before):
    write_csv(tmp_path / "trees.csv", quote, before)
    space = {"np": np, "torch": torch, "Split": Split, "Path": Path, "device": "cpu"}
    line = f'file = Path(r"{tmp_path / "trees.csv"}")'
    x, y = lines_of("np.loadtxt", (MY_FILE, line), space)["measured"]
    assert space["kinds"].tolist() == ["black poplar", "elm", "oak"]
    assert x.shape == (300, 2) and x[:, 0].isfinite().all()
    assert x[:, 1].isnan().sum() == 42 and y.dtype == torch.int64
    assert (x[y == 2, 0] > 10).all() and (x[y != 2, 0] < 10).all()  # oaks are long


@pytest.mark.parametrize("rule", ["str", "place_of"])
def test_images_of_one_plant_stay_together(tmp_path, rule):
    for kind in LEAVES:
        (tmp_path / kind).mkdir()
        for k in range(36):  # oak-3_2.jpg: an image of the fourth oak
            name = f"{kind}-{k // 4}_{k % 4}.jpg"
            Image.new("RGB", (4, 4)).save(tmp_path / kind / name)
    line = MY_FOLDER[2:].replace("/home/me/letters", str(tmp_path))
    space = {"Path": Path, "home": tmp_path, "np": np, "ImageFolder": ImageFolder}
    space["StratifiedGroupKFold"] = StratifiedGroupKFold
    lines_of("def place_of", (MY_FOLDER, line.replace(", str", f", {rule}")), space)
    space["data"] = Split(None, torch.arange(3).repeat_interleave(36))
    lines_of("six.split(paths", ("", ""), space)
    places, groups = np.array(space["places"]), [space["test"], *space["folds"]]
    assert len(set(places)) == {"str": 108, "place_of": 27}[rule]
    assert sorted(np.concatenate(groups)) == list(range(108))
    assert sum(len(set(places[rows])) for rows in groups) == len(set(places))


def test_rows_are_scaled_by_the_training_values_and_kept_inside():
    (prepare_rows,) = defined_by_the_chapter("prepare_rows")
    low, high = torch.tensor([0.0, 10.0]), torch.tensor([2.0, 20.0])
    new = torch.tensor([[1.0, 15.0], [-1.0, 30.0], [torch.nan, 20.0]])
    rows = prepare_rows(new, torch.tensor([0.5, 12.0]), low, high, 3)
    assert rows.tolist() == [
        [0, 0, 0, 0.5, 0.5],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0.25, 1],
    ]


def test_empty_fields_are_left_out_of_what_is_measured():
    (measure_columns,) = defined_by_the_chapter("measure_columns")
    x = torch.tensor([[1.0, 5.0], [torch.nan, 5.0], [3.0, 5.0], [9.0, 5.0]])
    how = {name: values.tolist() for name, values in measure_columns(x).items()}
    assert how == {"fill": [3, 5], "low": [1, 5], "high": [9, 5]}


def test_a_column_that_never_changes_does_no_harm():
    (prepare_rows,) = defined_by_the_chapter("prepare_rows")
    low = torch.tensor([5.0])
    rows = prepare_rows(torch.tensor([[5.0], [6.0]]), low, low, low, 1)
    assert rows.tolist() == [[0, 0], [0, 1]]
