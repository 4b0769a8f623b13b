"""Chapter 13: train layers in parallel, in processes of their own.

The processes start afresh. So a script that trains this way must be a file, and do so
under `if __name__ == "__main__":`, since each of them imports it; a notebook need not.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import chain, pairwise
from multiprocessing import parent_process
from pathlib import Path

import cloudpickle
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import ProcessException, start_processes

from ffutils.checks import check_count, check_losses, check_training
from ffutils.data import Split, batches
from ffutils.layers import goodness
from ffutils.recipe import cosine_decay, hard_negatives, pair_loss
from ffutils.training import set_lr, train_layer

LOOPBACK = {"linux": "lo", "darwin": "lo0"}  # what messages go through
PATIENCE = timedelta(seconds=120)  # with one that hangs; a dead one is seen at once
# PyTorch would print that it ends the others where one has died; the error says so.
logging.getLogger(start_processes.__module__).setLevel(logging.ERROR)


def clock() -> tuple[float, float]:
    """Read two clocks, in seconds.

    Returns:
        The time, the same for all processes, and the CPU time that this one has used.

    Source: chapter 13.
    """
    return time.monotonic(), time.process_time()


def first_stage_batches(net, split: Split, batch_size: int, epochs: int) -> Iterator:
    """Make what the first process trains on: images with labels in them.

    Args:
        net: an `FFNet`, whose first layer chooses the negatives.
        split, batch_size, epochs: as in `train_parallel`.

    Yields:
        The clock when the work began, positive and negative data, both (B, pixels).

    Source: chapter 13.
    """
    for _ in range(epochs):
        for x, y in batches(split, batch_size):
            started = clock()
            negative = net.write_label(x, hard_negatives(net, x, y))
            yield started, net.write_label(x, y), negative


def receive_batches(sizes: Iterable[int], width: int, source: int) -> Iterator:
    """Receive what any other process trains on, and always ask one batch ahead.

    Args:
        sizes: the number of images in each batch.
        width: of the layer below.
        source: the rank of the process that sends.

    Yields:
        The clock when a batch was there, positive and negative data, both (B, width).

    Source: chapter 13.
    """

    def ask(size):
        pair = torch.empty(2, size, width)
        return pair, dist.irecv(pair, source)

    requests = map(ask, sizes)  # asks once for each call of `next`
    coming = next(requests)
    while coming:
        pair, arrival = coming
        coming = next(requests, None)  # before this batch is worked on
        arrival.wait()
        yield clock(), *pair


def make_sender(target: int) -> Callable:
    """Make a function that sends pairs on, and waits only while two are under way.

    Args:
        target: the rank of the process that receives.

    Returns:
        A function of two tensors of the same shape.

    Source: chapter 13.
    """
    under_way = []

    def send(positive, negative):
        message = torch.stack([positive, negative])
        under_way.append((message, dist.isend(message, target)))
        if len(under_way) > 2:
            under_way.pop(0)[1].wait()

    return send


def train_stage(
    layers: Sequence, optimizers: Sequence, incoming: Iterable, send: Callable,
    lrs: Sequence[float], goodness: Callable = goodness,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Train some layers on each batch that comes in, and send on what they make of it.

    Args:
        layers, optimizers: in order, an optimiser for each layer.
        incoming: yields the clock, positive and negative data, both (B, in_features).
        send: called with each batch's two activations (B, out_features).
        lrs: a learning rate for each batch.
        goodness: a function (B, out_features) → (B,).

    Returns:
        The losses (batches, layers), and for each batch when the work began, when it
        ended, and how many seconds of CPU time it took (batches, 3).

    Source: chapter 13.
    """
    losses, spans = [], []
    for lr, (started, positive, negative) in zip(lrs, incoming, strict=True):
        set_lr(optimizers, lr)
        for layer, optimizer in zip(layers, optimizers, strict=True):
            positive, negative, loss = train_layer(
                layer, optimizer, positive, negative, pair_loss, goodness
            )
            losses.append(loss)
        ended = clock()
        spans.append((started[0], ended[0], ended[1] - started[1]))
        send(positive, negative)
    losses = torch.stack(losses).view(len(spans), len(layers))
    return losses, torch.tensor(spans, dtype=torch.float64)


def assign_layers(layers: int, processes: int) -> list[list[int]]:
    """Deal layers out to processes, in order: assign_layers(3, 2) is [[0], [1, 2]].

    Where they cannot all have as many, the first process, which also chooses the
    negatives, has fewer.

    Source: chapter 13.
    """
    bounds = [layers * rank // processes for rank in range(processes + 1)]
    return [list(range(start, end)) for start, end in pairwise(bounds)]


def run_stage(rank: int, processes: int, folder: Path) -> None:
    """Be one of the processes: train its layers, and write the result.

    Args:
        rank: which one, counted from 0; processes: how many there are.
        folder: where `train_parallel` has written the job and looks for the results.

    Source: chapter 13.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it wherever it waits
    threading.Thread(target=end_with_parent, daemon=True).start()
    job = torch.load(folder / "job", "cpu", weights_only=False, mmap=True)
    net, data, sizes, lrs, threads, rng = job
    torch.set_num_threads(max(1, threads // processes))
    torch.set_default_dtype(next(net.parameters()).dtype)  # that of the messages
    layers = [net.layers[k] for k in assign_layers(len(net.layers), processes)[rank]]
    optimizers = [torch.optim.Adam(layer.parameters()) for layer in layers]
    if rank == 0:
        incoming = first_stage_batches(net, *data)
    else:
        incoming = receive_batches(sizes, layers[0].in_features, rank - 1)
    send = make_sender(rank + 1) if rank + 1 < processes else lambda *pair: None
    os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK.get(sys.platform, ""))
    store = dist.FileStore(str(folder / "store"), processes)
    try:
        dist.init_process_group("gloo", None, PATIENCE, processes, rank, store)
        (folder / f"{rank}.started").touch()
        torch.set_rng_state(rng)  # to draw what `train` would draw
        result = train_stage(layers, optimizers, incoming, send, lrs, net.goodness)
        dist.barrier()  # until all messages have arrived
    except RuntimeError:
        time.sleep(2)  # where another process died, let that one be reported
        raise
    states = [layer.state_dict() for layer in layers]
    torch.save((*result, states, torch.get_rng_state()), folder / f"{rank}.result")
    dist.destroy_process_group()


def end_with_parent() -> None:
    """Wait until the process that started this one is gone, and go, too."""
    parent_process().join()
    os._exit(1)


def train_parallel(
    net, split: Split, processes: int, epochs: int = 10, batch_size: int = 256,
    lr: float = 0.003, threads: int | None = None, on_start: Callable | None = None,
) -> tuple[torch.Tensor, list[torch.Tensor]]:  # fmt: skip
    """Do what `train` does with chapter 06's `RECIPE`, with all layers at work at once.

    The weights come out the same, bit for bit, with the same number of threads.

    Args:
        net: an `FFNet`, which is changed in place; the processes work on CPUs.
        split: the training `Split`.
        processes: at most one for each layer.
        epochs, batch_size, lr: as in `train`.
        threads: of all processes together; each has at least one.
        on_start: called with the processes' ids once all of them are at work.

    Returns:
        The mean losses (epochs, layers), and for each process when it began and ended
        each batch, in seconds since the first began, and the seconds of CPU time that
        it took (batches, 3).

    Raises:
        TypeError, ValueError: for bad data or a bad setting.
        RuntimeError: as soon as a process has died; the others are ended, and the net
            is as it was before.
        FloatingPointError: at the end, where a loss was not finite; the net likewise.

    Source: chapter 13.
    """
    if not hasattr(split, "labels"):
        raise TypeError(f"split must be a Split(images, labels), got {type(split)}")
    check_training(net, split, epochs, batch_size, lr)
    check_processes(processes, len(net.layers))
    threads = torch.get_num_threads() if threads is None else threads
    check_count("threads", threads)
    sizes = [len(labels) for labels in split.labels.split(batch_size)]
    lrs = [lr * cosine_decay(epoch / epochs) for epoch in range(epochs) for _ in sizes]
    with tempfile.TemporaryDirectory() as name:
        data = Split(*(part.cpu().clone() for part in split)), batch_size, epochs
        job = net, data, sizes * epochs, lrs, threads, torch.get_rng_state()
        # cloudpickle takes along what a notebook or script has defined itself.
        torch.save(job, Path(name, "job"), pickle_module=cloudpickle)
        launch(processes, Path(name), on_start)
        results = [torch.load(Path(name, f"{k}.result")) for k in range(processes)]
    losses, spans, states, rngs = zip(*results, strict=True)
    losses = torch.cat(losses, dim=1).float().view(epochs, len(sizes), -1)
    losses = sum(size * losses[:, k] for k, size in enumerate(sizes)) / sum(sizes)
    for epoch in range(epochs):
        check_losses(losses[epoch], range(len(net.layers)), epoch)
    for layer, state in zip(net.layers, chain(*states), strict=True):
        layer.load_state_dict(state)
    torch.set_rng_state(rngs[0])
    start = spans[0][0, 0] * spans[0].new_tensor([1, 1, 0])
    return losses, [span - start for span in spans]


def launch(processes: int, folder: Path, on_start: Callable | None = None) -> None:
    """Start the processes and wait; none is left when this returns or raises.

    Raises:
        RuntimeError: as soon as a process has died.
    """
    run = start_processes(run_stage, (processes, folder), processes, join=False)
    try:
        while not run.join(timeout=0.05):
            if on_start and len(list(folder.glob("*.started"))) == processes:
                on_start(run.pids())
                on_start = None
    except ProcessException as error:
        raise RuntimeError(f"{error}\nAll have ended; the net is as it was.") from None
    finally:
        for process in run.processes:
            process.kill()
            process.join()


def check_processes(processes: int, layers: int) -> None:
    """Raise ValueError unless there is a layer for every process."""
    check_count("processes", processes)
    if processes > layers:
        need = f"{processes} processes need {processes} layers or more, one each"
        raise ValueError(f"{need}, but the net has {layers}")
