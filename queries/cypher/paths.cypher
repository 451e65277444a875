// The paths from one unit down to another, by the product of the shares that each step has of all that its target
// reads; `effect` is the product of the kernels' sums, negative where the path inhibits.
// $up (unit): where the paths begin; as in handwritten/mixed4b:45
// $down (unit): where they end; as in handwritten/mixed4d:3
// $hops (int = 3): how many steps at most, up to 4; as in 2
// $min_share (float = 0.005): the least share that each step must have; as in 0.01
// $limit (int = 20): how many paths; as in 5
CYPHER 5
MATCH (a:Unit {uid: $up}), (b:Unit {uid: $down})
CALL (a, b) {
  MATCH (a)-[e:CONNECTS]->(b) WHERE e.share_in >= $min_share
  RETURN [a, b] AS units, [e] AS edges
  UNION ALL
  WITH a, b WHERE $hops >= 2
  MATCH (b)<-[f:CONNECTS]-(x:Unit:Neuron)<-[e:CONNECTS]-(a)
  WHERE f.share_in >= $min_share AND e.share_in >= $min_share
  RETURN [a, x, b] AS units, [e, f] AS edges
  UNION ALL
  WITH a, b WHERE $hops >= 3
  MATCH (b)<-[g:CONNECTS]-(y:Unit:Neuron)<-[f:CONNECTS]-(x:Unit:Neuron)<-[e:CONNECTS]-(a)
  WHERE g.share_in >= $min_share AND f.share_in >= $min_share AND e.share_in >= $min_share
  RETURN [a, x, y, b] AS units, [e, f, g] AS edges
  UNION ALL
  WITH a, b WHERE $hops >= 4
  MATCH (b)<-[h:CONNECTS]-(z:Unit:Neuron)<-[g:CONNECTS]-(y:Unit:Neuron)<-[f:CONNECTS]-(x:Unit:Neuron)<-[e:CONNECTS]-(a)
  WHERE h.share_in >= $min_share AND g.share_in >= $min_share AND f.share_in >= $min_share
    AND e.share_in >= $min_share
  RETURN [a, x, y, z, b] AS units, [e, f, g, h] AS edges
}
WITH [u IN units | u.uid] AS path, [e IN edges | e.share_in] AS shares, [e IN edges | e.sum] AS sums
WITH path, shares, sums, reduce(product = 1.0, share IN shares | product * share) AS product
ORDER BY product DESC, path LIMIT $limit
RETURN path, product, reduce(effect = 1.0, sum IN sums | effect * sum) AS effect, shares, sums
ORDER BY product DESC, path
