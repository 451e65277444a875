// The families whose members are clients of a family, over its strong edges: how many of them it excites or inhibits.
// $family (family): the family; as in handwritten/mixed3b!curves
// $limit (int = 20): how many families; as in 5
CYPHER 5
MATCH (:Family {uid: $family})<-[:MEMBER_OF]-(u:Unit)-[e:EXCITES|INHIBITS]->(v:Unit)
WITH DISTINCT u, e, v
MATCH (v)-[:MEMBER_OF]->(f:Family)
WHERE f.uid <> $family
WITH f, count(DISTINCT v) AS clients, count(DISTINCT u) AS feeding,
     sum(CASE WHEN e.sum > 0 THEN 1 ELSE 0 END) AS exciting,
     sum(CASE WHEN e.sum < 0 THEN 1 ELSE 0 END) AS inhibiting, sum(e.sum) AS sum
RETURN f.uid AS family, f.name AS name, clients,
       COUNT { MATCH (m:Unit)-[:MEMBER_OF]->(f) RETURN DISTINCT m } AS members,
       feeding, exciting, inhibiting, sum
ORDER BY clients DESC, family LIMIT $limit
