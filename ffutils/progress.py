"""What a person sees while a net trains: a line for each epoch."""


def print_epoch(losses, layer_indices, epoch, epochs, seconds):
    """Which layers have finished an epoch, their mean losses, the seconds."""
    layers = ", ".join(str(k + 1) for k in layer_indices)
    values = " ".join(f"{losses[k]:.3f}" for k in layer_indices)
    print(
        f"epoch {epoch + 1:2d}/{epochs}  layer{'s' * (len(layer_indices) > 1)} {layers}"
        f"  loss {values}  {seconds:.1f} s",
        flush=True,
    )


def print_stopped():
    print("\nStopped: the net keeps what it has learnt so far.")
