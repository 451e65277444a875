"""Expanded weights in closed form: against automatic differentiation, in memory, and on the way to the disk.

``python benchmarks/expansion.py`` prints the tables; ``--only`` one of them. Everything runs on one thread in matrix
products, each measurement in a process of its own, the ones that are compared in turn, because a shared machine is
never the same twice: read ratios, which are of what ran one after the other, not times. Arithmetic is timed in seconds
of the processor, what goes to the disk in seconds of the clock.

- **autograd**: what a user would do today is one ``torch.autograd.grad`` per output channel, from one position of the
  target layer to the source layer, on the module with its nonlinearities taken out. The closed form computes every
  kernel of every pair; autograd is timed on a few channels a pair and multiplied up, which the table says.
- **networks**: the closed form of several networks beside ResNet-50.
- **streaming**: a whole import, one target layer after the other. Its peak of memory above the loaded module is given
  in sizes of the largest block; its writing (kernels, tables of edges, hashes, until all is on the disk) beside a plain
  copy of the same files, on the disk too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

AGAINST_AUTOGRAD = ("squeezenet1_0", "resnet50")
SIDE_BY_SIDE = ("resnet50", "resnext50_32x4d", "googlenet")
STREAMED = ("resnet152",)
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
    before = _memory()
    began = time.process_time()
    graph = linearise(module, (3, 224, 224))
    layers, _ = choose_unit_layers(graph, name, "auto")
    traced = time.process_time()
    kernels = pairs = 0
    for _, _, blocks in expand_network(graph, {own.tensor: own.layer.name for own in layers}):
        pairs += len({block.up for block in blocks})
        for block in blocks:
            kernels += block.kernels.shape[0] * (block.kernels.shape[1] if block.kernels.ndim == 4 else 1)
    ended = time.process_time()
    return {
        "seconds": ended - traced,
        "tracing": traced - began,
        "kernels": kernels,
        "pairs": pairs,
        "mib": _memory() - before,
    }


def streamed(name: str) -> dict[str, Any]:
    """Import a whole network, and copy what came of it."""
    from circuitgraph.bundle import BundleWriter
    from importers import import_torch, plan_import

    module = _module(name)
    spent = [0.0]

    def timed(method: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return method(*arguments, **options)
            finally:
                spent[0] += time.perf_counter() - began

        return call

    for method in ("add_target", "finish"):
        setattr(BundleWriter, method, timed(getattr(BundleWriter, method)))
    with tempfile.TemporaryDirectory(prefix="circuitgraph-", dir=os.environ.get("BENCHMARK_FOLDER")) as folder:
        out = Path(folder) / f"{name}.circuit"
        options: dict[str, Any] = {"out": out, "input_shape": (3, 224, 224), "network": name, "fidelity": 0}
        plan = plan_import(import_torch, module, **options)
        largest = plan.largest
        before = _memory(start=True)
        began = time.perf_counter()
        bundle = import_torch(module, **options)
        seconds = time.perf_counter() - began
        peak = _memory() - before
        flushed = time.perf_counter()
        files = [path for path in sorted(out.rglob("*")) if path.is_file()]
        for path in files:
            with path.open("rb") as file:
                os.fsync(file.fileno())
        writing = spent[0] + time.perf_counter() - flushed
        copied = time.perf_counter()
        for number, path in enumerate(files):
            with path.open("rb") as source, (Path(folder) / str(number)).open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
                target.flush()
                os.fsync(target.fileno())
        copying = time.perf_counter() - copied
        return {
            "seconds": seconds,
            "writing": writing,
            "copying": copying,
            "kernels": bundle.manifest.counts["edges"],
            "pairs": bundle.manifest.counts["pairs"],
            "mb": sum(path.stat().st_size for path in files) / 1e6,
            "mib": peak,
            "largest": (0 if largest is None else largest.bytes) / 2**20,
        }


def autograd(name: str) -> dict[str, Any]:
    """Differentiate a few channels of each pair, and multiply up."""
    import torch
    from torch import nn

    from importers.linearise import linearise
    from importers.unit_layers import choose_unit_layers

    module = _module(name)
    layers = [own.layer.name for own in choose_unit_layers(linearise(module, (3, 224, 224)), name, "auto")[0]]
    before = _memory()
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
        began = time.process_time()
        for channel in sample:
            torch.autograd.grad(target[(0, channel, *middle)], seen[up], retain_graph=True)
        total += (time.process_time() - began) / len(sample) * count
        channels += count
    return {"seconds": total, "channels": channels, "mib": _memory() - before}


def _memory(*, start: bool = False) -> float:
    """Return the peak of memory in MiB; `start` counts from what is held now."""
    if start:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _apart(way: str, name: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--measure", way, name],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare_with_autograd(repeats: int) -> None:
    print(f"Against autograd, 3x224x224; it is extrapolated from about {CHANNELS_A_PAIR} channels a pair.\n")
    print("| network | kernels | closed form CPU s | tracing | MiB | autograd CPU s | MiB | autograd / closed form |")
    print("|---|---|---|---|---|---|---|---|")
    for name in AGAINST_AUTOGRAD:
        runs = [(_apart("closed_form", name), _apart("autograd", name)) for _ in range(repeats)]
        ours, theirs = [run[0]["seconds"] for run in runs], [run[1]["seconds"] for run in runs]
        print(
            f"| {name} | {runs[0][0]['kernels']:,} | {_spread(ours)} | "
            f"{statistics.median(run[0]['tracing'] for run in runs):.2f} | {max(run[0]['mib'] for run in runs):.0f} | "
            f"{_spread(theirs)} | {max(run[1]['mib'] for run in runs):.0f} | {_spread(_ratios(theirs, ours), 'x')} |",
            flush=True,
        )


def compare_networks(repeats: int) -> None:
    print(f"\nClosed form of whole networks beside {SIDE_BY_SIDE[0]}, run in turn.\n")
    print(f"| network | pairs | kernels | CPU s | MiB | times {SIDE_BY_SIDE[0]} |\n|---|---|---|---|---|---|")
    runs = [{name: _apart("closed_form", name) for name in SIDE_BY_SIDE} for _ in range(repeats)]
    first = [run[SIDE_BY_SIDE[0]]["seconds"] for run in runs]
    for name in SIDE_BY_SIDE:
        own = [run[name] for run in runs]
        seconds = [run["seconds"] for run in own]
        print(
            f"| {name} | {own[0]['pairs']} | {own[0]['kernels']:,} | {_spread(seconds)} | "
            f"{max(run['mib'] for run in own):.0f} | {_spread(_ratios(seconds, first), 'x')} |",
            flush=True,
        )


def compare_with_a_copy(repeats: int) -> None:
    print("\nStreamed to a bundle.\n")
    print("| network | pairs | kernels | MB | import s | writing s | copying s | writing / copying | peak / block |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in STREAMED:
        runs = [_apart("streamed", name) for _ in range(repeats)]
        writing, copying = [run["writing"] for run in runs], [run["copying"] for run in runs]
        peaks, largest = [run["mib"] for run in runs], [run["largest"] for run in runs]
        print(
            f"| {name} | {runs[0]['pairs']} | {runs[0]['kernels']:,} | {runs[0]['mb']:,.0f} | "
            f"{_spread([run['seconds'] for run in runs])} | {_spread(writing)} | {_spread(copying)} | "
            f"{_spread(_ratios(writing, copying), 'x')} | "
            f"{_spread(_ratios(peaks, largest), 'x')} of {largest[0]:.0f} MiB |",
            flush=True,
        )


def _ratios(above: list[float], below: list[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def _spread(values: list[float], unit: str = "") -> str:
    digits = 0 if min(values) >= 10 else 2
    low, middle, high = (f"{v:.{digits}f}{unit}" for v in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low}-{high})"


def main() -> None:
    tables = {"autograd": compare_with_autograd, "networks": compare_networks, "streaming": compare_with_a_copy}
    measures = {"closed_form": closed_form, "autograd": autograd, "streamed": streamed}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=tables, action="append", help="Print only this table.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        way, name = options.measure
        print(json.dumps(measures[way](name)))
        return
    print(f"One thread in matrix products; median of {options.repeats} (smallest-largest).\n")
    for name in options.only or tables:
        tables[name](options.repeats)


if __name__ == "__main__":
    main()
