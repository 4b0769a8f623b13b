"""Every chapter's code on a pretended GPU, on a few images: a tensor left on the CPU fails as on CUDA."""

import re

import matplotlib
import pytest
from pretend_cuda import pretended_cuda
from tiny_chapters import SMALLER, TRAINING, run_chapter

from tools.chapters import chapter_files, code_cells, read, source

CHAPTERS = chapter_files()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_runs_on_a_gpu(chapter, mnist_of, capsys):
    matplotlib.use("agg")
    mnist_of(TRAINING.get(chapter.stem, 240))
    with pretended_cuda():
        space = run_chapter(chapter)
    assert space["device"] == "cuda"


def test_no_chapter_is_missing():
    assert len(CHAPTERS) > 10 and (SMALLER.keys() | TRAINING.keys()) <= {
        path.stem for path in CHAPTERS
    }


TIMED = re.compile(
    r"started = time\.perf_counter\(\)(.*?)time\.perf_counter\(\)", re.DOTALL
)
# What a GPU has come to an end for: a number that is read, or training, which ends in its losses.
WAITS = re.compile(r"\.(item|cpu)\(|synchronize\(|train\w*\(")


def test_no_clock_stops_before_the_gpu_has():
    pieces = [
        (chapter.stem, piece)
        for chapter in CHAPTERS
        for cell in code_cells(read(chapter))
        for piece in TIMED.findall(source(cell))
    ]
    assert len(pieces) > 2
    assert not [piece for piece in pieces if not WAITS.search(piece[1])]
