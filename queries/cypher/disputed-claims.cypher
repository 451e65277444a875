// Current claims that a current claim disputes, or whose opposite is claimed too.
// $network (string = ""): of which network, all if empty; as in handwritten
// $limit (int = 20): how many claims; as in 5
CYPHER 5
CALL () {
  MATCH (by:Claim {predicate: 'disputes'})-[:ABOUT]->(claim:Claim)
  WHERE NOT by.negated AND NOT EXISTS { (:Claim)-[:SUPERSEDES]->(by) }
  RETURN claim, by.uid AS disputed_by, null AS rival
  UNION
  MATCH (no:Claim)
  WHERE no.negated AND NOT EXISTS { (:Claim)-[:SUPERSEDES]->(no) }
  OPTIONAL MATCH (feature:Feature {uid: no.subject})
  OPTIONAL MATCH (object:Feature {uid: no.object})
  WITH no, coalesce(object.now, no.object, '') AS said,
       [no.subject] + COLLECT { MATCH (f:Feature) WHERE f.now = feature.now RETURN f.uid } AS names
  MATCH (yes:Claim)
  WHERE yes.subject IN names AND yes.predicate = no.predicate AND NOT yes.negated
    AND NOT EXISTS { (:Claim)-[:SUPERSEDES]->(yes) }
  OPTIONAL MATCH (object:Feature {uid: yes.object})
  WITH no, yes, said, coalesce(object.now, yes.object, '') AS other
  WHERE said = other
  UNWIND [{claim: no, rival: yes.uid}, {claim: yes, rival: no.uid}] AS each
  RETURN each.claim AS claim, null AS disputed_by, each.rival AS rival
}
WITH claim, disputed_by, rival ORDER BY disputed_by, rival
WHERE claim.json IS NOT NULL AND NOT EXISTS { (:Claim)-[:SUPERSEDES]->(claim) }
  AND ($network = '' OR claim.network = $network)
WITH claim, collect(DISTINCT disputed_by) AS disputed_by, collect(DISTINCT rival) AS rivals
RETURN claim.uid AS claim, claim.subject AS subject, claim.predicate AS predicate, claim.object AS object,
       claim.negated AS negated, claim.author AS author, disputed_by, rivals
ORDER BY subject, predicate, claim LIMIT $limit
