"""Chapter 13: count what is saved for the backward pass, and train layers in parallel, in processes of their own.

python -m ffutils.pipeline --processes 3 trains a net so and prints its speed and its error;
torchrun --standalone --nproc_per_node 3 -m ffutils.pipeline starts the same processes by hand.
"""

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import torch
import torch.distributed as dist
from torch.autograd.graph import saved_tensors_hooks

from ffutils.checks import check_count, check_losses, check_training
from ffutils.data import Split, batches, load_dataset
from ffutils.labels import overlay
from ffutils.layers import FFNet
from ffutils.prediction import error_rate, predict
from ffutils.recipe import cool_down, hard_labels, pair_loss
from ffutils.training import set_lr, train_layer

PATIENCE = timedelta(seconds=120)  # for a process that hangs; one that dies is noticed at once


class SavedBytes:
    """Count the bytes that autograd holds for backward passes inside a `with` block, each storage once.

    parameters: tensors that are not counted. Afterwards `peak` is the most that was held at one time; `now` is what is
    held still. Derived in chapter 13.
    """

    def __init__(self, parameters=()):
        self.now = self.peak = 0
        self.users = Counter()
        self.ignored = {p.untyped_storage().data_ptr() for p in parameters}
        self.hooks = saved_tensors_hooks(lambda tensor: Saved(self, tensor), lambda saved: saved.tensor)

    def __enter__(self):
        self.hooks.__enter__()
        return self

    def __exit__(self, *error):
        self.hooks.__exit__(*error)

    def change(self, storage, users):
        key = storage.data_ptr()
        before = self.users[key]
        self.users[key] += users
        if key not in self.ignored and 0 in (before, self.users[key]):
            self.now += storage.nbytes() if users > 0 else -storage.nbytes()
            self.peak = max(self.peak, self.now)


class Saved:
    """A tensor that a graph has saved; it says so to a `SavedBytes` when it comes and when it goes. Chapter 13."""

    def __init__(self, counter, tensor):
        self.counter, self.tensor = counter, tensor
        counter.change(tensor.untyped_storage(), +1)

    def __del__(self):
        self.counter.change(self.tensor.untyped_storage(), -1)


def shares(layers, processes):
    """Deal the numbers of some layers out to processes, in order: shares(3, 2) is [[0], [1, 2]]. Chapter 13.

    Where they cannot be equal the first process, which also chooses the negatives, has the smaller share.
    """
    bounds = [layers * k // processes for k in range(processes + 1)]
    return [list(range(start, end)) for start, end in pairwise(bounds)]


def clock():
    """Seconds on a clock that all processes of this machine share, and seconds of CPU that this one used."""
    return time.monotonic(), time.process_time()


def pictures(net, split, batch_size, epochs):
    """What the first process works on: yield (clock, positive, negative) for every batch. Derived in chapter 13."""
    for _ in range(epochs):
        for x, y in batches(split, batch_size):
            begun = clock()
            yield begun, overlay(x, y), overlay(x, hard_labels(net, x, y))


def received(sizes, width, source):
    """What every other process works on: yield (clock, positive, negative) as the process `source` sends them.

    sizes: the number of images in each batch. The next batch is already on its way while one is worked on.
    Derived in chapter 13.
    """
    coming = None
    for size in [*sizes, None]:
        with talking_to(source):
            following = torch.empty(2, size, width) if size else None
            arrival = dist.irecv(following, source) if size else None
            if coming is not None:
                coming[1].wait()
        if coming is not None:
            yield clock(), *coming[0]
        coming = following, arrival


def sender(target):
    """A function that sends a pair of batches on, and waits only while two are under way; None waits for the rest.

    Derived in chapter 13.
    """
    under_way = []

    def send(pair):
        with talking_to(target):
            if pair is not None:
                message = torch.stack(pair)
                under_way.append((dist.isend(message, target), message))
            while len(under_way) > (0 if pair is None else 2):
                under_way.pop(0)[0].wait()

    return send


def train_stage(layers, optimizers, pairs, send, rates):
    """Train some layers on each pair of batches that comes in, and send on what they make of it.

    pairs: yields (clock, positive, negative), the clock when it began; send: called with each pair of activities
    (B, width), and with None at the end; rates: a learning rate for each batch. Returns the losses (batches, layers),
    and for each batch when its work began and ended, and the seconds of CPU that it took (batches, 3).
    Derived in chapter 13.
    """
    losses, spans = [], []
    for rate, (begun, positive, negative) in zip(rates, pairs, strict=True):
        set_lr(optimizers, rate)
        for layer, optimizer in zip(layers, optimizers, strict=True):
            positive, negative, loss = train_layer(layer, optimizer, positive, negative, pair_loss)
            losses.append(loss)
        ended = clock()
        spans.append((begun[0], ended[0], ended[1] - begun[1]))
        send((positive, negative))
    send(None)
    return torch.stack(losses).view(len(spans), -1), torch.tensor(spans, dtype=torch.float64)


def work(job, rank, processes, split=None):
    """Be process `rank` of a run: train its share of the layers, and return what it has to tell. Derived in chapter 13.

    job: what `make_job` made; split: the images, which only the first process needs.
    """
    torch.set_num_threads(max(1, job["threads"] // processes))
    net = FFNet(*job["widths"])
    net.load_state_dict(job["net"])
    torch.set_rng_state(job["rng"])  # so that the images come in the order, and with the negatives, that `train` draws
    mine = shares(len(net.layers), processes)[rank]
    layers = [net.layers[k] for k in mine]
    optimizers = [torch.optim.Adam(layer.parameters(), lr=job["lr"]) for layer in layers]
    sizes = batch_sizes(job)
    rates = [job["lr"] * cool_down(epoch / job["epochs"]) for epoch in range(job["epochs"]) for _ in sizes]
    first, last = rank == 0, rank == processes - 1
    if first:
        pairs = pictures(net, split, job["batch_size"], job["epochs"])
    else:
        pairs = received(sizes * job["epochs"], layers[0].in_features, rank - 1)
    send = (lambda pair: None) if last else sender(rank + 1)
    losses, spans = train_stage(layers, optimizers, pairs, send, rates)
    states = {k: net.layers[k].state_dict() for k in mine}
    return {"layers": states, "losses": losses, "spans": spans, "rng": torch.get_rng_state()}


def batch_sizes(job):
    """How many images each batch of an epoch has."""
    full, rest = divmod(job["images"], job["batch_size"])
    return [job["batch_size"]] * full + [rest] * (rest > 0)


def make_job(net, images, epochs, batch_size, lr, threads):
    """All that the processes must know, except for the images themselves: plain numbers and the fresh net's weights."""
    return {
        "widths": [net.layers[0].in_features, *(layer.out_features for layer in net.layers)],
        "net": {name: tensor.detach().cpu() for name, tensor in net.state_dict().items()},
        "rng": torch.get_rng_state(),
        "images": images,
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "threads": threads,
    }


def train_parallel(net, split, processes, epochs=10, batch_size=256, lr=0.003, threads=None, on_start=None):
    """Do what `train` does with chapter 06's recipe, with the layers in several processes at work at the same time.

    net: an `FFNet` on the CPU, which is changed in place; split: the training `Split`; processes: at most one per layer,
    each with an equal share of the threads and at least one; on_start: called with the list of the processes' ids once
    all are at work. Returns the mean losses (epochs, layers), as `train` does, and a list with what each process did:
    when its work on each batch began and ended, in seconds since the first began, and how many seconds of CPU it took
    (batches, 3). Raises TypeError or ValueError for bad settings, RuntimeError where a process dies; the net is then as
    it was. Derived in chapter 13.
    """
    check_training(net, split, epochs, lr)
    check_count("batch_size", batch_size)
    check_processes(processes, len(net.layers))
    threads = torch.get_num_threads() if threads is None else threads
    with tempfile.TemporaryDirectory() as folder:
        job = make_job(net, len(split.labels), epochs, batch_size, lr, threads)
        torch.save({"job": job, "split": tuple(part.cpu() for part in split)}, Path(folder) / "job.pt")
        launch(Path(folder), processes, max(1, threads // processes), on_start)
        told = [torch.load(Path(folder) / f"process-{k}.pt", weights_only=True) for k in range(processes)]
    sizes = torch.tensor(batch_sizes(job))[None, :, None]
    losses = torch.cat([part["losses"] for part in told], dim=1).view(epochs, sizes.numel(), -1)
    losses = (losses * sizes).sum(dim=1) / sizes.sum()
    for epoch in range(epochs):
        check_losses(losses[epoch], range(len(net.layers)), epoch)
    for part in told:
        for k, state in part["layers"].items():
            net.layers[k].load_state_dict(state)
    torch.set_rng_state(told[0]["rng"])
    start = torch.tensor([told[0]["spans"][0, 0].item()] * 2 + [0.0], dtype=torch.float64)
    return losses, [part["spans"] - start for part in told]


def launch(folder, processes, threads, on_start=None):
    """Start the processes with torchrun, on this machine alone, and wait for them. Raises RuntimeError if one dies."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"),
        *("--nproc-per-node", str(processes), "-m", "ffutils.pipeline", "--folder", str(folder)),
    ]
    path = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
    }
    marks = [folder / f"process-{k}.id" for k in range(processes)]
    with (
        open(folder / "log", "w+", encoding="utf-8", errors="replace") as log,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment) as run,
    ):
        try:
            while run.poll() is None:
                if on_start is not None and all(mark.exists() for mark in marks):
                    on_start([int(mark.read_text()) for mark in marks])
                    on_start = None
                time.sleep(0.05)
        finally:
            run.terminate()  # torchrun then ends the others; does nothing where it has ended
        if run.returncode:
            log.seek(0)
            raise RuntimeError(reason(log.read(), processes))


def reason(log, processes):
    """Why a run failed, in a sentence or two, from what torchrun and the processes wrote."""
    remarks = list(dict.fromkeys(re.findall(r"^ffutils\.pipeline: (.+)$", log, re.MULTILINE)))
    dead = re.search(r"failed \(exitcode: (-?\d+)\) local_rank: (\d+)", log)
    if dead is None:
        return "\n".join(["the processes did not run; the end of what they wrote:", *log.splitlines()[-15:]])
    code, rank = int(dead[1]), int(dead[2])
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    if code >= 0 and not remarks:
        remarks = log[: dead.start()].splitlines()[-15:]
    first = f"process {rank} of 0..{processes - 1} {how}; the others were stopped, and the net is as it was before."
    return "\n".join([first, *remarks])


@contextmanager
def talking_to(rank):
    """Turn an error of the connection to a process into one that names the process."""
    try:
        yield
    except RuntimeError as error:
        raise ConnectionError(
            f"process {dist.get_rank()} lost process {rank}: it was killed, ran out of memory, failed with an error of "
            f"its own, or did not answer for {PATIENCE.seconds} s"
        ) from error


def check_processes(processes, layers):
    """Raise ValueError unless there is a layer for every process."""
    check_count("processes", processes)
    if processes > layers:
        raise ValueError(f"{processes} processes need {processes} layers or more, one each, but the net has {layers}")


def connect():
    """Join the other processes that torchrun has started: returns (rank, processes)."""
    if os.environ["LOCAL_WORLD_SIZE"] == os.environ["WORLD_SIZE"]:  # all on this machine, whatever its name resolves to
        os.environ["MASTER_ADDR"] = "127.0.0.1"
        loopback = [name for _, name in socket.if_nameindex() if re.fullmatch(r"lo\d*", name)]
        if loopback:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback[0])
    dist.init_process_group("gloo", timeout=PATIENCE)
    return dist.get_rank(), dist.get_world_size()


def worker(chosen):
    """What torchrun starts: be one process of the run that a file describes or, without one, the command line."""
    rank, processes = connect()
    parcel, split = [None], None
    if rank == 0:
        file = chosen.folder and Path(chosen.folder) / "job.pt"
        if file and file.exists():
            held = torch.load(file, weights_only=True)
            parcel, split = [held["job"]], Split(*held["split"])
        else:
            net, split, _ = prepare(chosen)
            threads = chosen.threads or os.cpu_count()
            parcel = [make_job(net, len(split.labels), chosen.epochs, chosen.batch_size, chosen.lr, threads)]
    dist.broadcast_object_list(parcel, 0)
    check_processes(processes, len(parcel[0]["widths"]) - 1)
    if chosen.folder:
        mark = Path(chosen.folder) / f"process-{rank}.id"
        mark.with_suffix(".tmp").write_text(str(os.getpid()))
        mark.with_suffix(".tmp").replace(mark)
    told = work(parcel[0], rank, processes, split)
    if chosen.folder:
        torch.save(told, Path(chosen.folder) / f"process-{rank}.pt")
    print(f"process {rank}: {describe(told['layers'], told['spans'])}", flush=True)
    dist.destroy_process_group()


def prepare(chosen):
    """The net and the data that the command line asks for: returns (net, training split, test split)."""
    _, split, test = load_dataset()
    split = Split(*(part[: chosen.images] for part in split))
    torch.manual_seed(chosen.seed)
    return FFNet(split.images.shape[1], *chosen.hidden), split, test


def describe(layers, spans):
    """One line on what a process did."""
    whole = (spans[-1, 1] - spans[0, 0]).item()
    busy = (spans[:, 1] - spans[:, 0]).sum().item() / whole
    names = ", ".join(str(k + 1) for k in layers)
    return f"layer {names}: {len(spans)} batches in {whole:.1f} s, at work for {100 * busy:.0f} % of it"


def main():
    parser = argparse.ArgumentParser(prog="python -m ffutils.pipeline", description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, help="one per layer unless given; torchrun says it by itself")
    parser.add_argument("--hidden", type=int, nargs="+", default=[500, 500, 500], metavar="WIDTH")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--lr", type=float, default=0.003)
    parser.add_argument("--images", type=int, help="how many of the training images; all of them unless given")
    parser.add_argument("--threads", type=int, help="of all processes together; the machine's cores unless given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="for torchrun: where each process writes the layers that it has trained")
    chosen = parser.parse_args()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        try:
            worker(chosen)
        except ConnectionError as error:
            print(f"ffutils.pipeline: {error}", file=sys.stderr, flush=True)
            time.sleep(2)  # so that torchrun names the process that died, not the one that noticed
            os._exit(1)  # without waiting for connections that are gone
        except Exception as error:
            print(f"ffutils.pipeline: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        return
    try:
        net, split, test = prepare(chosen)
        processes = chosen.processes or len(net.layers)
        threads = chosen.threads or os.cpu_count()
        _, spans = train_parallel(net, split, processes, chosen.epochs, chosen.batch_size, chosen.lr, threads)
    except (ValueError, OSError, RuntimeError) as error:
        parser.exit(2, f"python -m ffutils.pipeline: error: {error}\n")
    for k, part in enumerate(spans):
        print(f"process {k}: {describe(shares(len(net.layers), processes)[k], part)}")
    seconds = max(part[-1, 1].item() for part in spans)
    print(
        f"{chosen.epochs * len(split.labels) / seconds:,.0f} images/s; test error {error_rate(predict(net, test.images), test.labels):.2f} %"
    )


if __name__ == "__main__":
    main()
