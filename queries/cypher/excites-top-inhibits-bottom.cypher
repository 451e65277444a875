// The units that excite a unit above its own position and inhibit it below, as windows do a car; those first whose
// weaker half is the strongest.
// $unit (unit): the unit; as in handwritten/mixed4c:41
// $limit (int = 10): how many units; as in 5
CYPHER 5
MATCH (u:Unit:Neuron)-[e:CONNECTS]->(:Unit {uid: $unit}) WHERE e.top > 0 AND e.bottom < 0
WITH u, e, CASE WHEN e.top < -e.bottom THEN e.top ELSE -e.bottom END AS weaker
ORDER BY weaker DESC, u.uid LIMIT $limit
RETURN u.uid AS unit, COLLECT { MATCH (u)-[:MEMBER_OF]->(f:Family) RETURN DISTINCT f.name } AS families, weaker,
       e.top AS top, e.bottom AS bottom, e.sum AS sum, e.share_in AS share_in
ORDER BY weaker DESC, unit
