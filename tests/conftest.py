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
