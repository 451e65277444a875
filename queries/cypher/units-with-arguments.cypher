// Units for which many of the seven arguments of "Zoom In" have been made, by current claims about them and by what
// supports or disputes those; an argument counts where some evidence of it speaks in favour.
// $arguments (int = 1): how many of the seven at least; as in 3
// $limit (int = 20): how many units; as in 5
CYPHER 5
MATCH (e:Evidence)<-[:SUPPORTED_BY]-(brought:Claim)
WHERE e.code IN ['feature_visualisation', 'dataset_examples', 'synthetic_examples', 'joint_tuning',
                 'feature_implementation', 'feature_use', 'handwritten_circuit']
MATCH path = (brought)-[:ABOUT*0..20]->(about:Claim {kind: 'unit'})
WHERE none(claim IN nodes(path) WHERE EXISTS { (:Claim)-[:SUPERSEDES]->(claim) })
WITH about.subject AS unit, e.code AS argument,
     reduce(is_against = coalesce(e.is_against, false),
            claim IN nodes(path) | is_against <> (claim.negated <> (claim.predicate = 'disputes'))) AS is_against
WHERE NOT is_against
WITH unit, collect(DISTINCT argument) AS arguments
WHERE size(arguments) >= $arguments
RETURN unit, size(arguments) AS made, arguments
ORDER BY made DESC, unit LIMIT $limit
