"""What a person sees while a net trains: a line that counts the batches, then a line for each epoch."""

import sys
import time


def watched(steps, progress=True):
    """Yield the steps, counting them on a line that is cleared at the end, where a person is watching."""
    live = progress and (sys.stdout.isatty() or "ipykernel" in sys.modules)
    shown = time.perf_counter()
    for number, step in enumerate(steps, start=1):
        yield step
        if live and time.perf_counter() - shown > 0.5:
            shown = time.perf_counter()
            print(f"\r  batch {number}", end="", flush=True)
    if live:
        print("\r" + " " * 20 + "\r", end="", flush=True)


def report(losses, trained, epoch, epochs, seconds, progress=True):
    """Print one line: which layers have finished which epoch, their mean losses, the seconds that it took."""
    if progress:
        layers = f"layer{'s' if len(trained) > 1 else ''} {', '.join(str(k + 1) for k in trained)}"
        values = " ".join(f"{losses[k]:.3f}" for k in trained)
        print(f"epoch {epoch + 1:2d}/{epochs}  {layers}  loss {values}  {seconds:.1f} s", flush=True)
