// Units that current claims call polysemantic: on which evidence, what else they are said to respond to, and how many
// current claims say otherwise (pure, or not polysemantic).
// $network (string = ""): of which network, all if empty; as in handwritten
// $limit (int = 20): how many units; as in 5
CYPHER 5
MATCH (claim:Claim {predicate: 'polysemantic', kind: 'unit'})
WHERE claim.json IS NOT NULL AND NOT claim.negated AND NOT EXISTS { (:Claim)-[:SUPERSEDES]->(claim) }
  AND ($network = '' OR claim.network = $network)
OPTIONAL MATCH (claim)-[:SUPPORTED_BY]->(e:Evidence)
WHERE NOT coalesce(e.is_against, false)
WITH claim.subject AS unit, count(DISTINCT claim) AS claims, collect(DISTINCT e.code) AS evidence
RETURN unit, claims, evidence,
       COLLECT {
         MATCH (said:Claim {subject: unit})-[:ASSERTS]->(f:Feature)
         WHERE said.predicate IN ['responds_to', 'detects'] AND NOT said.negated
           AND NOT EXISTS { (:Claim)-[:SUPERSEDES]->(said) }
         WITH DISTINCT coalesce(f.now, f.uid) AS feature ORDER BY feature
         RETURN feature
       } AS features,
       COUNT {
         MATCH (other:Claim {subject: unit})
         WHERE (other.predicate = 'pure' AND NOT other.negated OR other.predicate = 'polysemantic' AND other.negated)
           AND NOT EXISTS { (:Claim)-[:SUPERSEDES]->(other) }
         RETURN other
       } AS against
ORDER BY claims DESC, unit LIMIT $limit
