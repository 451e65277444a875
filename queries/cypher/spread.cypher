// The units over which a unit is spread in the next layer: its strong clients, with what else excites each most.
// $unit (unit): the unit; as in handwritten/mixed4c:41
// $limit (int = 100): how many clients; as in 5
CYPHER 5
MATCH (:Unit {uid: $unit})-[e:EXCITES]->(client:Unit:Neuron)
OPTIONAL MATCH (client)-[:MEMBER_OF]->(f:Family)
OPTIONAL MATCH (other:Unit:Neuron)-[o:EXCITES]->(client) WHERE other.uid <> $unit
WITH client, f, e, other, o ORDER BY o.sum DESC, other.uid
WITH client, f, e, collect(other)[0] AS other, max(o.sum) AS other_sum
OPTIONAL MATCH (other)-[:MEMBER_OF]->(of:Family)
RETURN client.uid AS client, f.name AS family, e.sum AS sum, other.uid AS most_excited_by, of.name AS its_family,
       other_sum
ORDER BY sum DESC, client LIMIT $limit
