"""Tables of what was measured, and whether it is as asked."""

from __future__ import annotations

import os
from typing import Any

# asked for in the plan of the store
MOST_BYTES_AN_EDGE = 500
MOST_MEMORY = 3 << 30
MOST_LOGS = 1 << 30
LEAST_MOTIF_RATIO = 10


def show(figures: dict[str, Any]) -> bool:
    """Print what is known; return whether all of it is as asked."""
    limits: list[tuple[str, str, bool]] = []
    show_loads(figures, limits)
    if "disk" in figures:
        print("\n| properties of an edge | with its 3x3 kernel | bytes an edge |\n|---|---|---|")
        for row in figures["disk"]["rows"]:
            print(f"| {row['properties']} | {'yes' if row['kernel'] else 'no'} | {row['bytes']:.0f} |")
    if "counts" in figures:
        print("\n| counted | numpy | Cypher and SQL agree |\n|---|---|---|")
        for row in figures["counts"]["rows"]:
            print(f"| {row['what']} | {row['numpy']:,.6g} | {'yes' if row['agree'] else 'NO'} |")
            limits.append((f"{row['what']}: the same three times", str(row["agree"]), row["agree"]))
    if "motifs" in figures:
        print("\n| motif | count | strong, ms | CONNECTS, ms | times faster |\n|---|---|---|---|---|")
        for row in figures["motifs"]["rows"]:
            ratio = row["dense_s"] / row["strong_s"]
            print(
                f"| {row['what']} | {row['count']:,} | {1e3 * row['strong_s']:.0f} | {1e3 * row['dense_s']:.0f} "
                f"| {ratio:.0f} |"
            )
            limits.append(
                (f"{row['what']}: {LEAST_MOTIF_RATIO} times faster", f"{ratio:.0f}", ratio >= LEAST_MOTIF_RATIO)
            )
            limits.append((f"{row['what']}: one count over both", str(row["agree"]), row["agree"]))
    show_mending(figures, limits)
    show_clients(figures, limits)
    print("\n| asked | found | |\n|---|---|---|")
    for what, found, holds in limits:
        print(f"| {what} | {found} | {'holds' if holds else 'FAILS'} |")
    noise = [(name, each) for name, each in figures.items() if isinstance(each, dict)]
    print(
        f"\nNoise after each part on {os.cpu_count()} cores, load average and a fixed loop on one thread: "
        + "; ".join(f"{name} {each['load']:.1f}, {each['loop_s']:.2f} s" for name, each in noise)
    )
    return all(holds for _, _, holds in limits)


def show_loads(figures: dict[str, Any], limits: list[tuple[str, str, bool]]) -> None:
    loads = {name: figures[name] for name in ("bulk", "append") if name in figures}
    if loads:
        print("| way | edges | s | edges/s | of it, s | bytes an edge | peak MB: loader | import | server | logs |")
        print("|---|---|---|---|---|---|---|---|---|---|")
    for name, run in loads.items():
        laps = ", ".join(f"{title} {seconds:.1f}" for title, seconds in run["laps"].items())
        peaks = [f"{size / 1e6:,.0f}" for size in run["peaks"].values()]
        size = run["bytes"] / run["edges"]
        print(
            f"| {name} | {run['edges']:,} | {run['seconds']:.1f} | {run['edges'] / run['seconds']:,.0f} | {laps} "
            f"| {size:.0f} | {' | '.join(peaks)} |"
        )
        if name == "bulk":
            limits.append((f"at most {MOST_BYTES_AN_EDGE} bytes an edge", f"{size:.0f}", size <= MOST_BYTES_AN_EDGE))
        for what, most in (
            ("loader", MOST_MEMORY),
            ("import", MOST_MEMORY),
            ("server", MOST_MEMORY),
            ("logs", MOST_LOGS),
        ):
            peak = run["peaks"][what]
            limits.append((f"{name}: {what} at most {most / 1e9:.1f} GB", f"{peak / 1e9:.2f}", peak <= most))
    if len(loads) == 2:
        rates = [run["edges"] / run["seconds"] for run in loads.values()]
        print(f"\nBulk against append: {rates[0] / rates[1]:.1f} times the edges a second.")


def show_mending(figures: dict[str, Any], limits: list[tuple[str, str, bool]]) -> None:
    if "shelf" in figures:
        print("\n| query of the shelf | rows | first, ms | warm, ms |\n|---|---|---|---|")
        for row in figures["shelf"]["rows"]:
            print(f"| {row['what']} | {row['rows']} | {1e3 * row['first_s']:.0f} | {1e3 * row['best_s']:.0f} |")
    rows = [row for part in ("check", "rebuild") for row in figures.get(part, {}).get("rows", [])]
    if rows:
        print("\n| act | edges | s | edges/s | differences | peak MB: own | server | of it, s |")
        print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        laps = ", ".join(f"{title} {seconds:.1f}" for title, seconds in row["laps"].items())
        print(
            f"| {row['what']} | {row['edges']:,} | {row['seconds']:.1f} | {row['edges'] / row['seconds']:,.0f} "
            f"| {row['differences']} | {row['peaks']['loader'] / 1e6:,.0f} | {row['peaks']['server'] / 1e6:,.0f} "
            f"| {laps} |"
        )
        limits.append((f"{row['what']}: no difference", str(row["differences"]), row["differences"] == 0))


def show_clients(figures: dict[str, Any], limits: list[tuple[str, str, bool]]) -> None:
    if "clients" not in figures:
        return
    rows = figures["clients"]["rows"]
    print("\n| clients | asked | a second | p50, ms | p95, ms | p50 against one client | wrong | errors |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['clients']} | {row['asked']:,} | {row['a_second']:.0f} | {1e3 * row['p50_s']:.0f} "
            f"| {1e3 * row['p95_s']:.0f} | {row['p50_s'] / rows[0]['p50_s']:.1f} | {row['wrong']} "
            f"| {row['error_count']} |"
        )
        for error in row["errors"]:
            print(f"\n{row['clients']} clients: {error}\n")
        bad = row["wrong"] + row["error_count"]
        limits.append((f"{row['clients']} clients: no error, no wrong answer", str(bad), bad == 0))
        peak = row["peaks"]["server"]
        limits.append(
            (
                f"{row['clients']} clients: server at most {MOST_MEMORY / 1e9:.1f} GB",
                f"{peak / 1e9:.2f}",
                peak <= MOST_MEMORY,
            )
        )
