// The units that a family excites or inhibits most, over its strong edges, with how many members do so.
// $family (family): the family; as in handwritten/mixed3b!curves
// $limit (int = 20): how many clients; as in 5
CYPHER 5
MATCH (:Family {uid: $family})<-[:MEMBER_OF]-(u:Unit)-[e:EXCITES|INHIBITS]->(client:Unit:Neuron)
WITH client, sum(CASE WHEN e.sum > 0 THEN 1 ELSE 0 END) AS exciting,
     sum(CASE WHEN e.sum < 0 THEN 1 ELSE 0 END) AS inhibiting,
     sum(e.sum) AS sum, sum(e.share_in) AS share_in
ORDER BY share_in DESC, client.uid LIMIT $limit
OPTIONAL MATCH (client)-[:MEMBER_OF]->(f:Family)
RETURN client.uid AS client, f.name AS family, exciting, inhibiting, sum, share_in
ORDER BY share_in DESC, client
