// The current claims that name something as their subject, their object or an end of an edge; a feature under all ids
// it has had.
// $uid (string): of a unit, layer, network, family, feature, circuit, motif or claim; as in handwritten/mixed4c:41
// $limit (int = 20): how many claims; as in 5
CYPHER 5
OPTIONAL MATCH (feature:Feature {uid: $uid})
WITH [$uid] + COLLECT { MATCH (f:Feature) WHERE f.now = feature.now RETURN f.uid } AS names
MATCH (claim:Claim)
WHERE (claim.subject IN names OR claim.object IN names OR claim.down IN names
       OR claim.kind = 'edge' AND claim.subject STARTS WITH $uid + ' -> ')
  AND claim.json IS NOT NULL AND NOT EXISTS { (:Claim)-[:SUPERSEDES]->(claim) }
WITH DISTINCT claim
RETURN claim.uid AS claim, claim.subject AS subject, claim.predicate AS predicate, claim.object AS object,
       claim.negated AS negated, claim.statement AS statement, claim.codes AS evidence, claim.author AS author,
       claim.date AS date
ORDER BY date, claim LIMIT $limit
