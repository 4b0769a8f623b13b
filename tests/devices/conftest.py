"""What the tests on a pretended GPU share, and that they cannot be left out in silence.

`pretend_cuda` builds on names of PyTorch that are not public. Where one is missing, these
tests fail; they never skip. So a PyTorch that the pretence does not know shows at once,
and it is the pretence that must be mended: nothing else checks devices without a GPU.
"""

import pytest
import torch
from pretend_cuda import pretended_cuda

from ffutils import Split, load_digits


@pytest.fixture
def few():
    """A hundred digits on a GPU, or what passes for one."""
    with pretended_cuda():
        yield Split(*(part[:100] for part in load_digits("cuda")[0]))


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    before = torch.Tensor.device
    yield
    assert torch.Tensor.device is before and torch.ones(0).device.type == "cpu"
