// The spread of units over strong edges: one row a client of another family that the unit excites strongly. No null:
// how surprising it is that a pure unit is spread so is for find_superposition to say.
// $network (string): id of the network
// $units (list of maps unit, down, not_of): uids, the layer of the clients, and families that are not other ones
// $is_stored (boolean): take the families of the store; else those of $families
// $families (map): uid of a client to its family
CYPHER 5
UNWIND $units AS wanted
MATCH (u:Unit {uid: wanted.unit})-[e:EXCITES]->(client:Unit:Neuron {network: $network, layer: wanted.down})
CALL (client) { OPTIONAL MATCH (client)-[:MEMBER_OF]->(f:Family) RETURN f.name AS stored ORDER BY f.uid LIMIT 1 }
WITH u, e, client, wanted, CASE WHEN $is_stored THEN stored ELSE $families[client.uid] END AS family
WHERE family IS NOT NULL AND NOT family IN wanted.not_of
RETURN u.uid AS unit, client.uid AS client, family, e.sum AS sum
ORDER BY unit, sum DESC, client
