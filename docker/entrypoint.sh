#!/bin/sh
# Hand the database's user and password on to the tool without writing them into the image or its settings.
set -eu
secret=${CIRCUITGRAPH_AUTH_FILE:-/run/secrets/neo4j_auth}
if [ -r "$secret" ]; then
    auth=$(cat "$secret")
    CIRCUITGRAPH_USER=${auth%%/*}
    CIRCUITGRAPH_PASSWORD=${auth#*/}
    export CIRCUITGRAPH_USER CIRCUITGRAPH_PASSWORD
fi
exec "$@"
