"""Loading in bulk: Parquet files and Neo4j's offline import, into a home beside the live one."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from circuitgraph.errors import DiskFullError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.store.edge_batches import End
from circuitgraph.store.projection import Projection
from circuitgraph.store.schema import NODES, RELATIONSHIPS
from circuitgraph.store.server import ManagedServer

__all__ = ["BULK", "bulk_import", "bulk_room"]

BULK = "bulk"
"""What `Meta.loading` says between a bulk import and its check."""

_ARROW = {
    "string": pa.string(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "double[]": pa.list_(pa.float64()),
    "boolean": pa.bool_(),
    "string[]": pa.list_(pa.string()),
    "int[]": pa.list_(pa.int32()),
    "float[]": pa.list_(pa.float32()),
}
# measured (benchmarks/store.py): what an edge takes besides its kernel, and the first logs of transactions
_EDGE_BYTES = 250
_OWN_BYTES = 600 << 20
_STRONG_FLAGS = {"EXCITES": "excites", "INHIBITS": "inhibits", "MIXES": "mixes"}
_ENDS = [(":START_ID", pa.int64()), (":END_ID", pa.int64())]


def bulk_import(
    server: ManagedServer,
    projections: Sequence[Projection],
    *,
    kept: Mapping[str, Sequence[dict[str, Any]]] | None = None,
    progress: Progress = SILENT,
) -> None:
    """Make a new database of these bundles and put it in the place of the live one.

    The live database serves until the new one is complete; a crash on the way leaves it as it was.

    Parameters
    ----------
    kept
        Label to nodes that no bundle brings: saved motifs of these bundles (`circuitgraph.store.motifs.list_motifs`)
        and circuits (`circuitgraph.store.circuits.list_circuits`); they come without their `BINDS` and `INCLUDES`.

    Raises
    ------
    ServerError
        The import tool failed; its own words are in the message.
    DiskFullError
        No room for the new database.
    """
    home = server.new_home()
    try:
        staging = home.path / "import"
        staging.mkdir(exist_ok=True)
        edge_count = sum(projection.total_count for projection in projections)
        with progress.task("writing edges", edge_count, "edge") as task:
            arguments = _Staging(staging).write(projections, kept or {}, task.advance)
        # the import fetches the jars by itself, but under its own name
        server.provision()
        with progress.task("importing", None, "") as task:
            server.run_admin(
                [
                    "database",
                    "import",
                    "full",
                    # first, since --nodes and --relationships take every word after them
                    server.settings.database,
                    # Neo4j 5 does not see it by the names of the files
                    "--input-type=parquet",
                    "--id-type=integer",
                    "--overwrite-destination",
                    "--bad-tolerance=0",
                    f"--report-file={staging / 'import.report'}",
                    *arguments,
                ],
                home=home,
                on_line=lambda line: task.describe(line.strip()[:60]),
            )
        shutil.rmtree(staging)
        staging.mkdir()
        server.swap(home)
    except OSError as error:
        server.discard(home)
        if isinstance(error, DiskFullError) or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFullError(
                f"loading into {home.path.parent}: no room left on the target; the live database is as it was.",
                hint="Free some room, or move the database with CIRCUITGRAPH_DATA_DIR.",
            ) from error
        raise
    except BaseException:
        server.discard(home)
        raise


def bulk_room(projections: Sequence[Projection]) -> int:
    """Return about how many bytes a bulk import needs: its input files, the new database, and Neo4j's own logs."""
    return _OWN_BYTES + sum(p.total_count * (2 * _EDGE_BYTES + 2 * p.kernel_bytes) for p in projections)


class _Staging:
    """The import tool's input files, and the arguments that name them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.arguments: list[str] = []
        self.ids: dict[str, int] = {}

    def write(
        self, projections: Sequence[Projection], kept: Mapping[str, Sequence[dict[str, Any]]], advance: Any
    ) -> list[str]:
        nodes: dict[str, list[dict[str, Any]]] = {label: [] for label in NODES}
        for label, rows in kept.items():
            nodes[label] += rows
        for projection in projections:
            for label, rows in projection.nodes().items():
                nodes[label] += rows
            nodes["Meta"].append(projection.meta(loading=BULK))
        for label, rows in nodes.items():
            if rows:
                self._write_nodes(label, rows)
        self._write_relations(projections)
        self._write_edges(projections, advance)
        return self.arguments

    def _write_nodes(self, label: str, rows: list[dict[str, Any]]) -> None:
        kind = NODES[label]
        first = len(self.ids)
        self.ids.update((row["uid"], first + place) for place, row in enumerate(rows))
        columns: dict[str, pa.Array] = {":ID": pa.array(range(first, first + len(rows)), pa.int64())}
        for name, type_ in kind.properties.items():
            columns[f"{name}:{type_}"] = pa.array([row[name] for row in rows], _ARROW[type_])
        path = self.folder / f"nodes-{label}.parquet"
        pq.write_table(pa.table(columns), path, compression="none")
        self.arguments.append(f"--nodes={':'.join((label, *kind.labels))}={path}")

    def _write_relations(self, projections: Sequence[Projection]) -> None:
        by_type: dict[str, list[tuple[int, int, dict[str, Any]]]] = {}
        for projection in projections:
            for relation in projection.relations():
                by_type.setdefault(relation.type, []).extend(
                    (self.ids[start], self.ids[end], row)
                    for start, end, row in zip(relation.start, relation.end, relation.properties, strict=True)
                )
        for type_, rows in by_type.items():
            if not rows:
                continue
            columns = {
                ":START_ID": pa.array([row[0] for row in rows], pa.int64()),
                ":END_ID": pa.array([row[1] for row in rows], pa.int64()),
            }
            for name, kind in RELATIONSHIPS[type_].properties.items():
                columns[f"{name}:{kind}"] = pa.array([row[2][name] for row in rows], _ARROW[kind])
            path = self.folder / f"relationships-{type_}.parquet"
            pq.write_table(pa.table(columns), path, compression="none")
            self.arguments.append(f"--relationships={type_}={path}")

    def _write_edges(self, projections: Sequence[Projection], advance: Any) -> None:
        # one file a type, written batch by batch, so that memory does not grow with the network
        writers = {type_: self._edge_writer(type_) for type_ in ("CONNECTS", *_STRONG_FLAGS)}
        counts = dict.fromkeys(writers, 0)
        try:
            for projection in projections:
                for batch in projection.iter_edges():
                    up = self._ids_of(batch.up_end, batch.up)
                    down = self._ids_of(batch.down_end, batch.down)
                    columns = {name: batch.table[name] for name in batch.table.column_names}
                    for name, value in (
                        ("block", batch.block.block),
                        ("kh", batch.block.window[0]),
                        ("kw", batch.block.window[1]),
                    ):
                        columns[name] = pa.array(np.full(len(up), value, dtype=np.int32))
                    for type_, writer in writers.items():
                        names = RELATIONSHIPS[type_].properties
                        rows = pa.table(
                            [pa.array(up), pa.array(down), *(columns[name] for name in names)], writer.schema
                        )
                        if type_ != "CONNECTS":
                            rows = rows.filter(batch.table[_STRONG_FLAGS[type_]])
                        counts[type_] += rows.num_rows
                        if rows.num_rows:
                            writer.write_table(rows)
                    advance(len(up))
        finally:
            for writer in writers.values():
                writer.close()
        for type_, count in counts.items():
            if count:
                self.arguments.append(f"--relationships={type_}={self.folder / f'relationships-{type_}.parquet'}")

    def _edge_writer(self, type_: str) -> pq.ParquetWriter:
        fields = [(f"{name}:{kind}", _ARROW[kind]) for name, kind in RELATIONSHIPS[type_].properties.items()]
        path = self.folder / f"relationships-{type_}.parquet"
        return pq.ParquetWriter(path, pa.schema([*_ENDS, *fields]), compression="none", use_dictionary=False)

    def _ids_of(self, end: End, places: NDArray[np.int32]) -> NDArray[np.int64]:
        # a layer's neurons have consecutive numbers, since their rows stand together, and so have its directions
        return places.astype(np.int64) + self.ids[end.first]
