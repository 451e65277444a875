// The clients that rely most on a unit: those for which its kernel is the largest share of all they read, by l1.
// $unit (unit): the unit; as in handwritten/mixed4c:41
// $limit (int = 10): how many clients; as in 5
CYPHER 5
MATCH (:Unit {uid: $unit})-[e:CONNECTS]->(client:Unit:Neuron)
WITH client, e ORDER BY e.share_in DESC, client.uid LIMIT $limit
RETURN client.uid AS client, COLLECT { MATCH (client)-[:MEMBER_OF]->(f:Family) RETURN DISTINCT f.name } AS families,
       e.share_in AS share_in, e.sum AS sum, e.l2 AS l2, e.excitation AS excitation, e.inhibition AS inhibition
ORDER BY share_in DESC, client
