"""What all tests share: one random state, and instances drawn the same way."""

import os
import sys
import tempfile

import pytest
from hypothesis import configuration, settings

# The tests' nets are tiny: a second thread costs more than it brings.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Hypothesis draws the same instances on each run, and leaves no folder beside the book.
configuration.set_hypothesis_home_dir(
    os.path.join(tempfile.gettempdir(), "ffutils-hypothesis")
)
settings.register_profile("book", derandomize=True, deadline=None, database=None)
settings.load_profile("book")


@pytest.fixture(autouse=True)
def same_seed():
    if "torch" in sys.modules:  # browser tests need none
        sys.modules["torch"].manual_seed(0)


@pytest.fixture
def mnist_of(tmp_path, monkeypatch):
    """Called with a number, puts so many small digits where MNIST and Fashion-MNIST are looked for."""

    from tiny_chapters import write_tiny_mnist  # browser tests have no PyTorch

    import ffutils.files

    def write(count):
        monkeypatch.setattr(
            ffutils.files, "MD5", write_tiny_mnist(tmp_path, count, test=120)
        )
        monkeypatch.setenv("FF_DATA", str(tmp_path))
        monkeypatch.delenv("FF_DATASET", raising=False)

    return write
