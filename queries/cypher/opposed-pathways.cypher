// Two pathways of four layers which inhibit each other at each step and are then united by one unit.
// $unit (unit): the unit that unites them; as in handwritten/mixed4c:41
// $limit (int = 400): how many steps; as in 8
CYPHER 5
MATCH (d1:Unit:Neuron)-[:EXCITES]->(u:Unit {uid: $unit})<-[:EXCITES]-(d2:Unit:Neuron) WHERE d1.channel < d2.channel
MATCH (c1:Unit:Neuron)-[:EXCITES]->(d1), (c1)-[:INHIBITS]->(d2)
MATCH (c2:Unit:Neuron)-[:EXCITES]->(d2), (c2)-[:INHIBITS]->(d1)
MATCH (b1:Unit:Neuron)-[:EXCITES]->(c1), (b1)-[:INHIBITS]->(c2)
MATCH (b2:Unit:Neuron)-[:EXCITES]->(c2), (b2)-[:INHIBITS]->(c1)
MATCH (a1:Unit:Neuron)-[:EXCITES]->(b1), (a1)-[:INHIBITS]->(b2)
MATCH (a2:Unit:Neuron)-[:EXCITES]->(b2), (a2)-[:INHIBITS]->(b1)
WITH u, [a1, b1, c1, d1] AS first, [a2, b2, c2, d2] AS second
UNWIND range(0, 3) AS step
WITH u, step, first[step] AS one, second[step] AS other
OPTIONAL MATCH (one)-[:MEMBER_OF]->(f1:Family)
OPTIONAL MATCH (other)-[:MEMBER_OF]->(f2:Family)
RETURN step, one.uid AS one, f1.name AS one_family, other.uid AS other, f2.name AS other_family, u.uid AS united_by
ORDER BY step, one LIMIT $limit
