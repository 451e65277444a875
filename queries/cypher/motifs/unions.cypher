// Unions over cases among strong edges: one row a quintuple, bL the case with the lower channel. No null, no score:
// which of these are surprising is for find_unions to say.
// $network (string): id of the network
// $triples (list of maps up, middle, down): names of three layers in a row, without the network
CYPHER 5
UNWIND $triples AS layers
MATCH (bL:Unit:Neuron {network: $network, layer: layers.middle})-[:EXCITES]->(u:Unit:Neuron {network: $network, layer: layers.down})
      <-[:EXCITES]-(bR:Unit:Neuron {network: $network, layer: layers.middle})
WHERE bL.channel < bR.channel
MATCH (bL)<-[:EXCITES]-(aL:Unit:Neuron {network: $network, layer: layers.up})-[:INHIBITS]->(bR),
      (bR)<-[:EXCITES]-(aR:Unit:Neuron {network: $network, layer: layers.up})-[:INHIBITS]->(bL)
RETURN DISTINCT aL.uid AS aL, aR.uid AS aR, bL.uid AS bL, bR.uid AS bR, u.uid AS u
ORDER BY bL, bR, u, aL, aR
