"""Expanded weights in closed form against automatic differentiation: seconds, memory, ratio.

``python benchmarks/expansion.py [NETWORK...]`` prints a table. What a user would do today is one
``torch.autograd.grad`` per output channel, from one position of the target layer to the source layer, on the module
with its nonlinearities taken out. Both run on one thread in processes of their own, in turn. The closed form computes
every kernel of every pair; autograd is timed on a few channels a pair and multiplied up, which the table says.
Absolute times mean little on a shared machine; the ratio is of medians over the repeats.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

NETWORKS = ("squeezenet1_0", "resnet50")
CHANNELS_A_PAIR = 8


def _module(name: str) -> Any:
    import torch
    import torchvision
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = torchvision.models.get_model(name, weights=None).eval()
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.uniform_(-0.5, 0.5)
                part.running_var.uniform_(0.5, 2.0)
                part.weight.uniform_(0.5, 1.5)
    return module


def closed_form(name: str) -> dict[str, Any]:
    """Trace, choose the layers and expand every pair, one target at a time."""
    from importers.expand import expand_network
    from importers.linearise import linearise
    from importers.unit_layers import choose_unit_layers

    module = _module(name)
    before = _peak_mib()
    began = time.perf_counter()
    graph = linearise(module, (3, 224, 224))
    layers, _ = choose_unit_layers(graph, name, "auto")
    traced = time.perf_counter()
    kernels = sum(
        sum(block.kernels.shape[0] * (block.kernels.shape[1] if block.kernels.ndim == 4 else 1) for block in blocks)
        for _, _, blocks in expand_network(graph, {own.tensor: own.layer.name for own in layers})
    )
    ended = time.perf_counter()
    return {"seconds": ended - traced, "tracing": traced - began, "kernels": kernels, "mib": _peak_mib() - before}


def autograd(name: str) -> dict[str, Any]:
    """Differentiate a few channels of each pair, and multiply up."""
    import torch
    from torch import nn

    from importers.linearise import linearise
    from importers.unit_layers import choose_unit_layers

    module = _module(name)
    layers = [own.layer.name for own in choose_unit_layers(linearise(module, (3, 224, 224)), name, "auto")[0]]
    before = _peak_mib()
    for parent in list(module.modules()):
        for child_name, child in list(parent.named_children()):
            if isinstance(child, (nn.ReLU, nn.Dropout)):
                setattr(parent, child_name, nn.Identity())
            elif isinstance(child, nn.MaxPool2d):
                pool = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode)
                setattr(parent, child_name, pool)
    seen: dict[str, Any] = {}
    for layer in layers[1:]:
        path = layer.partition("#")[0]
        module.get_submodule(path).register_forward_hook(
            lambda _module, _args, output, layer=layer: seen.__setitem__(layer, output)
        )
    picture = torch.zeros((1, 3, 224, 224), requires_grad=True)
    module(picture)
    seen["input"] = picture
    total, channels = 0.0, 0
    for up, down in pairwise(layers):
        target = seen[down]
        count = target.shape[1]
        sample = range(0, count, max(1, count // CHANNELS_A_PAIR))
        middle = tuple(size // 2 for size in target.shape[2:])
        began = time.perf_counter()
        for channel in sample:
            torch.autograd.grad(target[(0, channel, *middle)], seen[up], retain_graph=True)
        total += (time.perf_counter() - began) / len(sample) * count
        channels += count
    return {"seconds": total, "channels": channels, "mib": _peak_mib() - before}


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _apart(way: str, name: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--only", way, name],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--only", choices=("closed_form", "autograd"), help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if options.only:
        print(json.dumps({"closed_form": closed_form, "autograd": autograd}[options.only](options.networks[0])))
        return
    print(f"One thread, 3x224x224, median of {options.repeats} (smallest to largest); autograd is extrapolated from")
    print(f"about {CHANNELS_A_PAIR} channels a pair. Memory is the peak above the loaded module.\n")
    print("| network | kernels | closed form s | tracing s | MiB | autograd s | MiB | autograd / closed form |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.networks:
        runs = [(_apart("closed_form", name), _apart("autograd", name)) for _ in range(options.repeats)]
        ours, theirs = [run[0]["seconds"] for run in runs], [run[1]["seconds"] for run in runs]
        ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
        print(
            f"| {name} | {runs[0][0]['kernels']:,} | {_spread(ours)} | "
            f"{statistics.median(run[0]['tracing'] for run in runs):.2f} | {max(run[0]['mib'] for run in runs):.0f} | "
            f"{_spread(theirs)} | {max(run[1]['mib'] for run in runs):.0f} | {ratio:.0f}x |"
        )


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


if __name__ == "__main__":
    main()
