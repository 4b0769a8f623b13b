"""Every test starts from the same random state, so that the order of the tests changes nothing."""

import sys

import pytest


@pytest.fixture(autouse=True)
def same_seed():
    if "torch" in sys.modules:  # browser tests need none
        sys.modules["torch"].manual_seed(0)
