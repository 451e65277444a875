// What excites a unit most above its own position, and what below it.
// $unit (unit): the unit; as in handwritten/mixed4c:41
// $limit (int = 20): how many of each; as in 5
CYPHER 5
MATCH (u:Unit:Neuron)-[e:CONNECTS]->(:Unit {uid: $unit}) WHERE e.top > 0
WITH u, e ORDER BY e.top DESC LIMIT $limit
OPTIONAL MATCH (u)-[:MEMBER_OF]->(f:Family)
RETURN 'above' AS place, u.uid AS unit, f.name AS family, e.top AS top, e.bottom AS bottom, e.sum AS sum
UNION ALL
MATCH (u:Unit:Neuron)-[e:CONNECTS]->(:Unit {uid: $unit}) WHERE e.bottom > 0
WITH u, e ORDER BY e.bottom DESC LIMIT $limit
OPTIONAL MATCH (u)-[:MEMBER_OF]->(f:Family)
RETURN 'below' AS place, u.uid AS unit, f.name AS family, e.top AS top, e.bottom AS bottom, e.sum AS sum
