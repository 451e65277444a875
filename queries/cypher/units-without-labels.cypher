// Units that no current claim says anything of that they detect or respond to, those first whose kernels into the next
// layers are the largest; with the families they are in.
// $network (network): the network; as in handwritten
// $layer (string = ""): the name of a layer of it, all if empty; as in mixed4c
// $limit (int = 20): how many units; as in 5
CYPHER 5
MATCH (u:Unit:Neuron {network: $network})
WHERE ($layer = '' OR u.layer = $layer) AND NOT EXISTS {
  MATCH (claim:Claim {subject: u.uid})
  WHERE claim.predicate IN ['detects', 'responds_to'] AND NOT claim.negated
    AND NOT EXISTS { (:Claim)-[:SUPERSEDES]->(claim) }
}
WITH u ORDER BY u.out_norm DESC, u.uid LIMIT $limit
RETURN u.uid AS unit, COLLECT { MATCH (u)-[:MEMBER_OF]->(f:Family) RETURN DISTINCT f.name } AS families,
       u.in_norm AS in_norm, u.out_norm AS out_norm, u.is_dead AS is_dead
ORDER BY out_norm DESC, unit
