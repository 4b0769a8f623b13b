"""Every test starts from the same random state, so that the order of the tests changes nothing."""

import os
import sys

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests' nets are tiny: a second thread costs more than it brings


@pytest.fixture(autouse=True)
def same_seed():
    if "torch" in sys.modules:  # browser tests need none
        sys.modules["torch"].manual_seed(0)
