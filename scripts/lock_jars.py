"""Write the lock of the jars that the managed Neo4j runs on.

Maven resolves the dependencies and fetches every jar with strict checksums; each
is checked once more against the sha1 published beside it, then written down
with its size and sha256. Only developers run this; it needs ``mvn``.

    python scripts/lock_jars.py [VERSION]
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from circuitgraph.store.provision import LOCK_COLUMNS, NEO4J_VERSION, lock_path

SERVER = (
    "org.neo4j:neo4j",
    "org.neo4j.app:neo4j-server",
    "org.neo4j:neo4j-slf4j-provider",
    "org.neo4j:neo4j-import-tool",
    "org.neo4j:neo4j-consistency-check",
)
# the import tool reads Parquet only with these, and does not bring them
PARQUET = (
    "com.fasterxml.woodstox:woodstox-core:7.1.0",
    "org.apache.hadoop.thirdparty:hadoop-shaded-guava:1.4.0",
    "org.apache.commons:commons-collections4:4.5.0",
)
_LISTED = re.compile(r"^\s+([^\s:]+):([^\s:]+):jar:(?:([^\s:]+):)?([^\s:]+):(?:compile|runtime):(\S.*\.jar)\b")


def pom(version: str) -> str:
    """Return a pom that depends on the server of `version` and on what Parquet import needs."""
    wanted = [f"{name}:{version}" for name in SERVER] + list(PARQUET)
    entries = "".join(
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>".format(
            *entry.split(":")
        )
        for entry in wanted
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>lock</groupId><artifactId>lock</artifactId><version>1</version>"
        f"<dependencies>{entries}</dependencies></project>"
    )


def resolve(version: str) -> list[tuple[str, str, str, str, Path]]:
    """Return (group, artifact, version, classifier, file) of every jar, sorted."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pom.xml").write_text(pom(version), encoding="utf-8")
        listed = Path(folder, "jars.txt")
        command = ["mvn", "--batch-mode", "--quiet", "--strict-checksums", "-Dstyle.color=never", "dependency:list"]
        options = ["includeScope=runtime", "outputAbsoluteArtifactFilename=true", f"outputFile={listed}"]
        subprocess.run([*command, *(f"-D{option}" for option in options)], cwd=folder, check=True)
        lines = listed.read_text(encoding="utf-8").splitlines()
    found = [match.groups() for match in map(_LISTED.match, lines) if match]
    expected = sum(":jar:" in line for line in lines)
    if len(found) != expected or not found:
        sys.exit(f"Maven listed {expected} jars, of which {len(found)} could be read.")
    names = [Path(groups[-1]).name for groups in found]
    if len(set(names)) != len(names):
        sys.exit("Two jars have the same file name, and could not lie in one folder.")
    return sorted((g, a, v, classifier or "", Path(file)) for g, a, classifier, v, file in found)


def main() -> None:
    """Resolve, check and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", nargs="?", default=NEO4J_VERSION)
    version = parser.parse_args().version
    rows = ["\t".join(LOCK_COLUMNS)]
    total = 0
    for group, artifact, jar_version, classifier, file in resolve(version):
        content = file.read_bytes()
        published = file.with_name(file.name + ".sha1").read_text(encoding="ascii").split()[0].lower()
        if hashlib.sha1(content, usedforsecurity=False).hexdigest() != published:
            sys.exit(f"{file} does not have the sha1 that is published for it, {published}.")
        total += len(content)
        digest = hashlib.sha256(content).hexdigest()
        rows.append("\t".join((group, artifact, jar_version, classifier, str(len(content)), digest)))
    target = lock_path(version)
    target.write_text("\n".join(rows) + "\n", encoding="ascii")
    print(f"{target.name}: {len(rows) - 1} jars, {total / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
