// The edges of the circuit around a unit: its strongest kernels, by l2, two steps upstream and two downstream. They
// come as columns up and down, which `circuitgraph circuit new --from-query` takes.
// $unit (unit): the unit; as in handwritten/mixed4c:41
// $top (int = 4): how many kernels to follow at each unit; as in 3
// $limit (int = 200): how many edges; as in 50
CYPHER 5
MATCH (u:Unit {uid: $unit})
CALL (u) {
  MATCH (a:Unit:Neuron)-[e:CONNECTS]->(u) WHERE e.l1 > 0
  RETURN e, 1 AS hop ORDER BY e.l2 DESC, a.uid LIMIT $top
  UNION
  MATCH (a:Unit:Neuron)-[e:CONNECTS]->(u) WHERE e.l1 > 0
  WITH a, e ORDER BY e.l2 DESC, a.uid LIMIT $top
  CALL (a) {
    MATCH (b:Unit:Neuron)-[f:CONNECTS]->(a) WHERE f.l1 > 0
    RETURN f ORDER BY f.l2 DESC, b.uid LIMIT $top
  }
  RETURN f AS e, 2 AS hop
  UNION
  MATCH (u)-[e:CONNECTS]->(a:Unit:Neuron) WHERE e.l1 > 0
  RETURN e, 1 AS hop ORDER BY e.l2 DESC, a.uid LIMIT $top
  UNION
  MATCH (u)-[e:CONNECTS]->(a:Unit:Neuron) WHERE e.l1 > 0
  WITH a, e ORDER BY e.l2 DESC, a.uid LIMIT $top
  CALL (a) {
    MATCH (a)-[f:CONNECTS]->(b:Unit:Neuron) WHERE f.l1 > 0
    RETURN f ORDER BY f.l2 DESC, b.uid LIMIT $top
  }
  RETURN f AS e, 2 AS hop
}
WITH e, min(hop) AS hop
RETURN hop, startNode(e).uid AS up, endNode(e).uid AS down, e.sum AS sum, e.l1 AS l1, e.l2 AS l2, e.share_in AS share_in
ORDER BY hop, l2 DESC, up, down LIMIT $limit
