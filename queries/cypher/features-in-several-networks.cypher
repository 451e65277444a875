// Features that current claims find in more than one network: detected by a unit, family or circuit of it, or called
// universal in it.
// $networks (int = 2): in how many networks at least; as in 3
// $limit (int = 20): how many features; as in 5
CYPHER 5
CALL () {
  MATCH (claim:Claim {predicate: 'detects'})-[:ASSERTS]->(f:Feature)
  WHERE claim.network IS NOT NULL AND NOT claim.negated AND NOT EXISTS { (:Claim)-[:SUPERSEDES]->(claim) }
  RETURN coalesce(f.now, f.uid) AS feature, claim.network AS network, claim.uid AS claim
  UNION
  MATCH (claim:Claim {predicate: 'universal', kind: 'feature'})
  WHERE claim.object_network IS NOT NULL AND NOT claim.negated AND NOT EXISTS { (:Claim)-[:SUPERSEDES]->(claim) }
  OPTIONAL MATCH (f:Feature {uid: claim.subject})
  RETURN coalesce(f.now, claim.subject) AS feature, claim.object_network AS network, claim.uid AS claim
}
WITH feature, network, count(claim) AS claims ORDER BY network
WITH feature, collect(network) AS networks, sum(claims) AS claims
WHERE size(networks) >= $networks
OPTIONAL MATCH (f:Feature {uid: feature})
RETURN feature, f.name AS name, networks, claims
ORDER BY size(networks) DESC, feature LIMIT $limit
