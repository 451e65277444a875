"""Fill the disk of a managed server in the middle of a load or a rebuild, and print what was said and what is left.

Run by `test_disk_full`, in a mount of its own that is small: `python -m tests.store.filling SETTINGS ACT LEFT...`.
Each LEFT is how many MiB another program leaves free, once the act has seen that there was room.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.store_check import check_store
from circuitgraph.catalogue.store_rebuild import rebuild_store
from circuitgraph.errors import CircuitGraphError
from circuitgraph.settings import Settings
from circuitgraph.store import Store, load, rebuild
from circuitgraph.store.dump import dump_database
from circuitgraph.testing.bundles import write_synthetic_bundle
from tests.store.graph_truth import fingerprint, graph_of

MIB = 1 << 20


class Disk:
    """A disk that somebody else fills as soon as the room on it has been looked at."""

    def __init__(self, folder: Path) -> None:
        self.left: int | None = None
        self._folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave so much free."""
        with self._ballast.open("wb") as file:
            while self.left is not None and (more := shutil.disk_usage(self._folder).free - self.left * MIB) > 0:
                file.write(bytes(min(more, MIB)))
                file.flush()

    def free(self) -> None:
        """Take it away again."""
        self._ballast.unlink(missing_ok=True)

    def after(self, look: Callable[..., None]) -> Callable[..., None]:
        """Fill the disk when a look for room has found some."""

        def look_then_fill(*arguments: Any) -> None:
            look(*arguments)
            self.fill()

        return look_then_fill


def main(settings: Settings, act: str, left: list[int]) -> None:
    folder = settings.data_dir
    disk = Disk(folder)
    load.check_room = disk.after(load.check_room)
    rebuild.check_room = disk.after(rebuild.check_room)
    first = write_synthetic_bundle(folder / "first.circuit", network="first")
    second = write_synthetic_bundle(folder / "second.circuit", network="second", unit_counts=(3, *[192] * 4))

    def run(store: Store) -> None:
        if act == "rebuild":
            rebuild_store(store, [first, second])
        elif act == "dump":
            disk.fill()
            assert store.server is not None
            dump_database(store.server, folder / "a.dump", replace=True)
        else:
            store.load(second, way=act)

    with Store.open(settings=settings) as store:
        store.load(first, way="append")
        assert store.server is not None
        for size in left:
            disk.left = size
            before = state(store, act)
            home = store.server.home
            said = ""
            try:
                run(store)
            except CircuitGraphError as error:
                said = f"{type(error).__name__}: {error.message} | {error.hint}"
            disk.free()
            store.close()
            answers = store.server.status().is_running
            print(
                json.dumps(
                    {
                        "left": size,
                        "said": said,
                        "is_unharmed": state(store, act) == before,
                        "is_same_home": store.server.home == home,
                        "answers": answers,
                        "homes": len(list((folder / "server" / "homes").iterdir())),
                        "beside": (folder / "server" / "beside").exists(),
                        "files": sorted(path.name for path in folder.iterdir()),
                    }
                ),
                flush=True,
            )
        disk.left = None
        run(store)
        differences = [str(each) for each in check_store(store, whole(act, first, second), deep=True).differences]
        print(json.dumps({"differences": differences}), flush=True)
        assert store.server is not None
        store.close()
        store.server.destroy()


def state(store: Store, act: str) -> Any:
    """All that is in the database; while another network is appended, all of the first one."""
    return graph_of(store, "first") if act == "append" else fingerprint(store)


def whole(act: str, first: Bundle, second: Bundle) -> list[Bundle]:
    return [first] if act == "dump" else [first, second]


if __name__ == "__main__":
    main(Settings.model_validate_json(sys.argv[1]), sys.argv[2], [int(each) for each in sys.argv[3:]])
