"""Run the command many times without loading torch each time: each line of stdin is one command, run in a fork.

A line is ``{"argv": [...], "cwd": ..., "env": {...}, "stdout": PATH, "stderr": PATH, "file_limit": BYTES or null}``;
the answer is a line with the exit code.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback
from typing import Any, NoReturn

import neo4j  # noqa: F401
import torch
import torchvision  # noqa: F401

import importers.weights.kernels
import importers.weights.torch_module  # noqa: F401


def run(wanted: dict[str, Any]) -> NoReturn:
    code: Any = 1
    try:
        for number, (path, flags) in enumerate(
            (
                (os.devnull, os.O_RDONLY),
                (wanted["stdout"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
                (wanted["stderr"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
            )
        ):
            os.dup2(os.open(path, flags, 0o600), number)
        os.setsid()
        os.chdir(wanted["cwd"])
        os.environ.clear()
        os.environ.update(wanted["env"])
        if wanted["file_limit"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (wanted["file_limit"], resource.RLIM_INFINITY))
        sys.argv = wanted["argv"]
        # as the script that pip makes does
        from circuitgraph.cli.main import main

        main()
        code = 0
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                code = code or 120
        os._exit(code)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            run(json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
