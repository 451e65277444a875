// Which families of a network feed which: for each two with kernels between their members, how many there are, how
// many of them strong, and their sums.
// $network (network): the network; as in handwritten
// $limit (int = 20): how many pairs of families; as in 5
CYPHER 5
MATCH (f:Family {network: $network})<-[:MEMBER_OF]-(u:Unit)
WITH DISTINCT f, u
MATCH (u)-[e:CONNECTS]->(v:Unit)-[:MEMBER_OF]->(g:Family)
WITH DISTINCT f, g, e
WITH f, g, count(e) AS edges, sum(e.sum) AS sum, sum(e.l1) AS l1, sum(e.excitation) AS excitation,
     sum(e.inhibition) AS inhibition
ORDER BY l1 DESC, f.uid, g.uid LIMIT $limit
RETURN f.uid AS up, g.uid AS down, edges,
       COUNT { MATCH (f)<-[:MEMBER_OF]-(u:Unit)-[s:EXCITES]->(v:Unit)-[:MEMBER_OF]->(g) RETURN DISTINCT s } AS exciting,
       COUNT { MATCH (f)<-[:MEMBER_OF]-(u:Unit)-[s:INHIBITS]->(v:Unit)-[:MEMBER_OF]->(g) RETURN DISTINCT s } AS inhibiting,
       sum, l1, excitation, inhibition
ORDER BY l1 DESC, up, down
