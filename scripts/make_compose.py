"""Write docker/compose.yaml from the same settings that the managed server has.

python scripts/make_compose.py [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from circuitgraph.settings import Settings
from circuitgraph.store.conf import limits_conf, memory_bytes
from circuitgraph.store.provision import NEO4J_VERSION

COMPOSE = Path(__file__).resolve().parents[1] / "docker" / "compose.yaml"
BOLT_PORT = 7687
# the JVM's own needs beside heap and page cache, and room for what it maps
_BESIDE = 1 << 30

# A Bolt handshake: the answer is four bytes, not all zero, once the server takes queries.
# An open port is not enough, and cypher-shell would start a JVM each time.
HEALTH = (
    f"exec 3<>/dev/tcp/127.0.0.1/{BOLT_PORT} && "
    r"printf '\x60\x60\xb0\x17\x00\x08\x08\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00' >&3 && "
    "timeout 4 head -c 4 <&3 | od -An -tx1 | grep -v '00 00 00 00' | grep -Eq '([0-9a-f]{2} ?){4}'"
)

TEMPLATE = """\
# Written by scripts/make_compose.py: change that, or circuitgraph/store/conf.py, and run it again.
name: circuitgraph

services:
  neo4j:
    image: {image}
    environment:
      NEO4J_AUTH_FILE: /run/secrets/neo4j_auth
{environment}
    ports:
      - "127.0.0.1:${{CIRCUITGRAPH_BOLT_PORT:-{port}}}:{port}"
    secrets: [neo4j_auth]
    volumes:
      - neo4j_data:/data
    healthcheck:
      test: ["CMD", "bash", "-c", {health}]
      interval: 5s
      timeout: 6s
      retries: 12
      start_period: 120s
    deploy:
      resources:
        limits:
          cpus: "2"
          memory: {memory}m
          pids: 1024
    security_opt: ["no-new-privileges:true"]
    stop_grace_period: 60s
    restart: unless-stopped

  circuitgraph:
    profiles: [tool]
    build:
      context: ..
      dockerfile: docker/Dockerfile
    environment:
      CIRCUITGRAPH_STORE: bolt://neo4j:{port}
    secrets: [neo4j_auth]
    volumes:
      - ${{CIRCUITGRAPH_FOLDER:-.}}:/work
    depends_on:
      neo4j:
        condition: service_healthy
    deploy:
      resources:
        limits:
          cpus: "2"
          memory: 8g
          pids: 512
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    init: true

secrets:
  neo4j_auth:
    file: ${{CIRCUITGRAPH_AUTH_FILE:-./neo4j_auth}}

volumes:
  neo4j_data:
"""


def container_conf() -> dict[str, str]:
    """Return the settings of the server in the container: ours, but it answers beyond it, for its port to be mapped."""
    defaults = Settings()
    return {
        "server.config.strict_validation.enabled": "true",
        # all of the container's own interfaces; the host maps the port to its loopback only
        "server.default_listen_address": "0.0.0.0",  # noqa: S104
        "server.bolt.listen_address": f"0.0.0.0:{BOLT_PORT}",
        **limits_conf(heap=defaults.heap, page_cache=defaults.page_cache),
    }


def variable(setting: str) -> str:
    """Return how the image's start script wants a setting spelt: ``a.b_c`` is ``NEO4J_a_b__c``."""
    return "NEO4J_" + setting.replace("_", "__").replace(".", "_")


def compose() -> str:
    """Return the text of compose.yaml."""
    defaults = Settings()
    memory = memory_bytes(defaults.heap) + memory_bytes(defaults.page_cache) + _BESIDE
    return TEMPLATE.format(
        image=f"neo4j:{NEO4J_VERSION}-community",
        environment="\n".join(
            f"      {variable(name)}: {json.dumps(value)}" for name, value in container_conf().items()
        ),
        port=BOLT_PORT,
        # compose reads $ as the start of a variable
        health=json.dumps(HEALTH.replace("$", "$$")),
        memory=memory >> 20,
    )


def main() -> int:
    """Write the file, or with ``--check`` only say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is out of date")
    if parser.parse_args().check:
        return 0 if COMPOSE.read_text(encoding="utf-8") == compose() else 1
    COMPOSE.write_text(compose(), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
