// Pairs of units of a layer that read the same units with opposite signs, over their strong edges: how many of the
// units that both read excite one and inhibit the other, and how many act alike on both.
// $layer (layer): the layer; as in handwritten/mixed3b
// $shared (int = 2): how many opposed sources at least; as in 4
// $limit (int = 20): how many pairs; as in 5
CYPHER 5
MATCH (a:Unit:Neuron)-[:IN]->(:Layer {uid: $layer})
MATCH (a)<-[e:EXCITES|INHIBITS]-(source:Unit:Neuron)-[g:EXCITES|INHIBITS]->(b:Unit:Neuron)
WHERE b.network = a.network AND b.layer = a.layer AND a.channel < b.channel
WITH a, b, sum(CASE WHEN type(e) <> type(g) THEN 1 ELSE 0 END) AS opposed,
     sum(CASE WHEN type(e) = type(g) THEN 1 ELSE 0 END) AS alike
WHERE opposed >= $shared
WITH a, b, opposed, alike, toFloat(opposed) / (opposed + alike) AS opposed_share
ORDER BY opposed DESC, opposed_share DESC, a.channel, b.channel LIMIT $limit
RETURN a.uid AS one, b.uid AS other, opposed, alike, opposed_share,
       COLLECT { MATCH (a)-[:MEMBER_OF]->(f:Family) RETURN DISTINCT f.name } AS families,
       COLLECT { MATCH (b)-[:MEMBER_OF]->(f:Family) RETURN DISTINCT f.name } AS other_families
ORDER BY opposed DESC, opposed_share DESC, a.channel, b.channel
