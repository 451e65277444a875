// The units that a unit is most strongly joined to, upstream and downstream, by the l2 norm of the kernel.
// $unit (unit): the unit; as in handwritten/mixed4c:41
// $limit (int = 10): how many on each side; as in 5
CYPHER 5
MATCH (u:Unit:Neuron)-[e:CONNECTS]->(:Unit {uid: $unit})
WITH u, e ORDER BY e.l2 DESC, u.uid LIMIT $limit
RETURN 'upstream' AS side, u.uid AS unit, COLLECT { MATCH (u)-[:MEMBER_OF]->(f:Family) RETURN DISTINCT f.name } AS families,
       e.sum AS sum, e.l1 AS l1, e.l2 AS l2, e.top AS top, e.bottom AS bottom, e.left AS left, e.right AS right,
       e.share_in AS share_in
UNION ALL
MATCH (:Unit {uid: $unit})-[e:CONNECTS]->(u:Unit:Neuron)
WITH u, e ORDER BY e.l2 DESC, u.uid LIMIT $limit
RETURN 'downstream' AS side, u.uid AS unit, COLLECT { MATCH (u)-[:MEMBER_OF]->(f:Family) RETURN DISTINCT f.name } AS families,
       e.sum AS sum, e.l1 AS l1, e.l2 AS l2, e.top AS top, e.bottom AS bottom, e.left AS left, e.right AS right,
       e.share_in AS share_in
