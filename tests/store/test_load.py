"""Loading: both ways give the graph that the kernels say, once, however often."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.read import BlockInfo
from circuitgraph.errors import LoadError, NetworkConflictError, SettingsError
from circuitgraph.settings import Settings
from circuitgraph.store import Store
from circuitgraph.store.append import remove_network
from circuitgraph.testing.bundles import write_synthetic_bundle
from tests.store.graph_truth import SCALARS, ask, expected_edges, fingerprint, graph_of

MakeBundle = Callable[..., Bundle]


@pytest.fixture(scope="module")
def both(
    own_store: Store, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Bundle, Store, Store]]:
    """One bundle of every form, appended to the shared database and bulk-imported into another."""
    bundle = write_synthetic_bundle(
        tmp_path_factory.mktemp("both") / "both.circuit", network="both", with_every_form=True
    )
    assert [each.way for each in own_store.load(bundle, way="bulk").loaded] == ["bulk"]
    assert [each.way for each in store.load(bundle, way="append").loaded] == ["append"]
    yield bundle, store, own_store
    remove_network(store, "both")


def test_append_and_bulk_give_the_same_graph(both: tuple[Bundle, Store, Store]) -> None:
    _, appended, imported = both
    one, other = graph_of(appended, "both"), graph_of(imported, "both")
    assert one["nodes"] == other["nodes"]
    assert one["edges"] == other["edges"]
    assert len(one["edges"]) > 300


def test_append_and_bulk_give_the_same_schema(both: tuple[Bundle, Store, Store]) -> None:
    text = "SHOW INDEXES YIELD name, state, type RETURN name, state, type ORDER BY name"
    assert ask(both[1], text) == ask(both[2], text)
    assert ["unit_uid", "ONLINE", "RANGE"] in ask(both[1], text)


@pytest.mark.parametrize("way", [1, 2], ids=["append", "bulk"])
def test_every_property_of_every_edge_is_what_its_kernel_says(both: tuple[Bundle, Store, Store], way: int) -> None:
    bundle, store = both[0], both[way]
    found = {
        (a, b, values["block"]): values
        for a, b, values in ask(
            store, "MATCH (a:Unit {network: 'both'})-[e:CONNECTS]->(b) RETURN a.uid, b.uid, properties(e)"
        )
    }
    expected = expected_edges(bundle)
    assert found.keys() == {(e["from"], e["to"], e["block"]) for e in expected}
    for edge in expected:
        values = found[edge["from"], edge["to"], edge["block"]]
        for name in ("kh", "kw", "peak_row", "peak_col", "kernel"):
            assert values[name] == edge[name], (edge["from"], edge["to"], name)
        for name in (*SCALARS, "share_in"):
            assert values[name] == pytest.approx(edge[name], rel=1e-6, abs=1e-6), (edge["from"], edge["to"], name)


@pytest.mark.parametrize("way", [1, 2], ids=["append", "bulk"])
@pytest.mark.parametrize("kind", ["EXCITES", "INHIBITS", "MIXES"])
def test_strong_edges_are_the_strongest_two_in_a_hundred(
    both: tuple[Bundle, Store, Store], kind: str, way: int
) -> None:
    found = ask(both[way], f"MATCH (a:Unit {{network: 'both'}})-[e:{kind}]->(b) RETURN a.uid, b.uid, e.sum, e.share_in")
    expected = [(e["from"], e["to"], e["sum"], e["share_in"]) for e in expected_edges(both[0]) if e[kind]]
    assert sorted(row[:2] for row in found) == sorted([list(row[:2]) for row in expected])
    assert sorted(row[2] for row in found) == pytest.approx(sorted(row[2] for row in expected), rel=1e-5, abs=1e-6)
    assert sorted(row[3] for row in found) == pytest.approx(sorted(row[3] for row in expected), rel=1e-5)


def _whole(part: BlockInfo) -> list[float]:
    return [part.edge_count, part.edge_count, 1.0]


def test_nodes_and_the_ways_between_layers_are_the_bundles(both: tuple[Bundle, Store, Store]) -> None:
    bundle, store, _ = both
    units = ask(store, "MATCH (u:Unit:Neuron {network: 'both'})-[:IN]->(l:Layer)-[:IN]->(:Network) RETURN l.uid, u.uid")
    assert sorted(units) == sorted([x.uid, f"{x.uid}:{n}"] for x in bundle.layers for n in range(x.unit_count))
    feeds = ask(
        store,
        "MATCH (a:Layer {network: 'both'})-[f:FEEDS]->(b) RETURN a.uid, b.uid, f.block, f.form, f.row_start, "
        "f.row_stop, f.kh, f.kw, f.offset_row, f.stride_col, f.edge_count, f.kept_count, f.kept_l1_share",
    )
    assert sorted(feeds) == sorted(
        [p.up, p.down, p.block, p.form, p.row_start, p.row_stop, *p.window, p.offset[0], p.stride[1], *_whole(p)]
        for p in bundle.blocks
    )
    members = ask(
        store, "MATCH (u:Unit)-[m:MEMBER_OF]->(f:Family {network: 'both'}) RETURN u.uid, m.position, m.angle_deg"
    )
    assert sorted(members) == [[f"both/layer1:{n}", n, n * 90.0] for n in range(4)]


def test_loading_again_changes_nothing(store: Store, make_bundle: MakeBundle) -> None:
    bundle = make_bundle("again")
    store.load(bundle)
    before = fingerprint(store)
    assert [each.way for each in store.load(bundle).loaded] == ["already there"]
    assert fingerprint(store) == before


def test_other_weights_under_the_same_name_are_refused_unless_asked_for(store: Store, make_bundle: MakeBundle) -> None:
    first, second = make_bundle("twice", seed=1), make_bundle("twice", seed=2)
    store.load(first)
    before = fingerprint(store)
    with pytest.raises(
        NetworkConflictError, match=r"loading twice: other weights are there .*\w{12}.*\w{12}"
    ) as caught:
        store.load(second)
    assert "--replace" in caught.value.hint
    assert fingerprint(store) == before
    store.load(second, replace=True)
    replaced = graph_of(store, "twice")
    remove_network(store, "twice")
    store.load(second)
    assert graph_of(store, "twice") == replaced


def test_another_choice_of_edges_is_a_conflict_too(store: Store, make_bundle: MakeBundle) -> None:
    bundle = make_bundle("choice")
    store.load(bundle, edges="top:2")
    with pytest.raises(NetworkConflictError, match="with the edges top:2, all are asked"):
        store.load(bundle, edges="all")


def test_top_k_keeps_the_strongest_of_each_target_and_says_what_it_dropped(
    store: Store, make_bundle: MakeBundle
) -> None:
    bundle = make_bundle("pruned")
    store.load(bundle, edges="top:3")
    expected = expected_edges(bundle)
    kept = []
    for target in {e["to"] for e in expected}:
        for source in {e["pair"][0] for e in expected}:
            group = [e for e in expected if e["to"] == target and e["pair"][0] == source]
            group.sort(key=lambda e: -e["l2"])
            kept += [e for n, e in enumerate(group) if n < 3 or e["EXCITES"] or e["INHIBITS"] or e["MIXES"]]
    found = ask(store, "MATCH (a:Unit {network: 'pruned'})-[e:CONNECTS]->(b) RETURN a.uid, b.uid")
    assert sorted(found) == sorted([e["from"], e["to"]] for e in kept)
    units = ask(store, "MATCH (u:Unit {network: 'pruned'}) RETURN u.uid, u.kept_count, u.kept_share")
    for uid, count, share in units:
        whole = sum(e["l1"] for e in expected if e["to"] == uid)
        own = [e["l1"] for e in kept if e["to"] == uid]
        assert count == len(own)
        assert share == pytest.approx(sum(own) / whole if whole else 1.0, rel=1e-6)
    feeds = ask(
        store,
        "MATCH (:Layer {network: 'pruned'})-[f:FEEDS]->() "
        "RETURN f.block, f.edge_count, f.kept_count, f.kept_l1_share, f.kept_squared_share",
    )
    for block, edge_count, kept_count, l1_share, squared_share in feeds:
        all_of, kept_of = ([e for e in edges if e["block"] == block] for edges in (expected, kept))
        assert (edge_count, kept_count) == (len(all_of), len(kept_of))
        assert l1_share == pytest.approx(sum(e["l1"] for e in kept_of) / sum(e["l1"] for e in all_of), rel=1e-6)
        squares = [sum(e["l2"] ** 2 for e in edges) for edges in (kept_of, all_of)]
        assert squared_share == pytest.approx(squares[0] / squares[1], rel=1e-6)
    notes = store.query("RETURN 1 AS n").notes
    wanted = f"the graph holds {len(kept):,} of {len(expected):,} edges of pruned (top:3)"
    assert any(note.startswith(wanted) for note in notes)


def test_ties_at_the_cut_are_all_strong(store: Store, tmp_path: Path, make_bundle: MakeBundle) -> None:
    from circuitgraph.bundle import BundleWriter
    from circuitgraph.records import NewBlock

    model = make_bundle("ties", unit_counts=(3, 10, 10), with_every_form=False)
    kernels = np.full((10, 10, 1, 1), 0.5, dtype=np.float32)
    kernels[0, :5] = 2.0
    kernels[1, :3] = -2.0
    with BundleWriter(tmp_path / "ties.circuit", model.info, model.layers) as writer:
        first = model.stored(model.blocks[0])
        bias = np.zeros(10, dtype=np.float32)
        writer.add_target(
            "ties/layer1", bias, [NewBlock("ties/layer0", "ties/layer1", 0, "dense", first, (-1, -1), (1, 1))]
        )
        writer.add_target(
            "ties/layer2", bias, [NewBlock("ties/layer1", "ties/layer2", 0, "dense", kernels, (0, 0), (1, 1))]
        )
        bundle = writer.finish()
    store.load(bundle)
    # two of a hundred are wanted, eight are equally strong
    for kind, target, count in (("EXCITES", 0, 5), ("INHIBITS", 1, 3)):
        rows = ask(
            store, f"MATCH (a)-[:{kind}]->(b:Unit {{network: 'ties', layer: 'layer2'}}) RETURN a.channel, b.channel"
        )
        assert sorted(rows) == [[n, target] for n in range(count)]


def test_two_bundles_of_one_name_are_refused(store: Store, make_bundle: MakeBundle) -> None:
    one, other = make_bundle("same", seed=1), make_bundle("same", seed=2)
    with pytest.raises(NetworkConflictError, match=r"two of the bundles have the same network id \(same, same\)"):
        store.load(one, other)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"edges": "top:0"}, "'top:0'"), ({"edges": "most"}, "'most'"), ({"way": "fast"}, "'fast'")],
)
def test_an_unknown_choice_is_refused(
    store: Store, make_bundle: MakeBundle, options: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        store.load(make_bundle("unasked"), **options)  # type: ignore[arg-type]


def test_a_bulk_load_says_why_it_is_not_possible(store: Store, make_bundle: MakeBundle) -> None:
    first, second = make_bundle("here"), make_bundle("there")
    store.load(first)
    shutil.move(first.path, first.path.with_name("elsewhere"))
    with pytest.raises(
        LoadError, match=r"the bundle of here, which is in the database, is not at .*here-0\.circuit any more"
    ):
        store.load(second, way="bulk")
    assert [each.way for each in store.load(second).loaded] == ["append"]


def test_a_bulk_load_leaves_alone_what_no_bundle_brought(store: Store, make_bundle: MakeBundle) -> None:
    bundle = make_bundle("beside")
    ask(store, "CREATE (:Claim {uid: 'claim:beside'})")
    try:
        with pytest.raises(LoadError, match="the database holds 1 nodes that no bundle has"):
            store.load(bundle, way="bulk")
    finally:
        ask(store, "MATCH (c:Claim {uid: 'claim:beside'}) DELETE c")


def test_a_second_load_at_the_same_time_is_refused(store: Store, make_bundle: MakeBundle) -> None:
    from filelock import FileLock

    with (
        FileLock(store.settings.data_dir / "load.lock"),
        pytest.raises(LoadError, match=r"another load into the database in .* is under way"),
    ):
        store.load(make_bundle("waiting"))


@pytest.mark.parametrize("way", ["bulk", "append"])
def test_a_database_without_room_is_not_begun(
    server_settings: Settings, make_bundle: MakeBundle, tmp_path: Path, way: str
) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare here; install util-linux")
    bundle, folder = make_bundle("roomless"), tmp_path / "data"
    folder.mkdir()
    # a small disk, mounted without root in a namespace of its own
    script = (
        'mount -t tmpfs -o size=100m none "$CIRCUITGRAPH_DATA_DIR" || exit 77; '
        '"$0" load "$1" --way "$2"; code=$?; ls -A "$CIRCUITGRAPH_DATA_DIR" >&2; exit $code'
    )
    command = str(Path(sys.executable).parent / "circuitgraph")
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script, command, str(bundle.path), way],
        env={
            **os.environ,
            "CIRCUITGRAPH_DATA_DIR": str(folder),
            "CIRCUITGRAPH_JARS_DIR": str(server_settings.jars_dir),
            "CIRCUITGRAPH_CONFIG": str(tmp_path / "none.toml"),
        },
        capture_output=True,
        text=True,
        timeout=100,
    )
    if done.returncode == 77 or done.stderr.startswith("unshare"):
        pytest.skip("this system mounts no tmpfs without root; allow user namespaces")
    assert done.returncode == 1, done.stderr
    assert re.search(r"error: loading into \S+: about [\d,]+ free bytes are needed, there are [\d,]+", done.stderr)
    assert "CIRCUITGRAPH_DATA_DIR" in done.stderr
    assert not {"server", "bundles"} & set(done.stderr.split())


def test_edges_that_went_astray_are_missed_and_the_next_load_mends_them(
    store: Store, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle("astray")
    from circuitgraph.store import load

    def append_too_little(*args: object, **options: object) -> None:
        _append(*args, **options)  # type: ignore[arg-type]
        ask(store, "MATCH (:Unit {network: 'astray'})-[e:CONNECTS]->() WITH e LIMIT 1 DELETE e")

    _append = load.append
    monkeypatch.setattr(load, "append", append_too_little)
    with pytest.raises(
        LoadError, match=r"loading astray: block \d+ \(astray/layer\d -> astray/layer\d\) has \d+ edges"
    ):
        store.load(bundle)
    monkeypatch.undo()
    assert any("astray is not wholly loaded" in note for note in store.query("RETURN 1 AS n").notes)
    store.load(bundle)
    assert len(graph_of(store, "astray")["edges"]) > 300
    assert not any("astray" in note for note in store.query("RETURN 1 AS n").notes)
