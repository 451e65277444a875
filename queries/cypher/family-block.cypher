// The kernels from the members of one family to those of another, each with its window row by row, in the families'
// order: the grid in which a rotation or a reflection is seen.
// $up (family): the family upstream; as in handwritten/mixed3b!curves
// $down (family): the family downstream; as in handwritten/mixed4a!circles
// $limit (int = 1000): how many kernels; as in 50
CYPHER 5
MATCH (:Family {uid: $up})<-[m:MEMBER_OF]-(u:Unit)
WITH u, min(m.position) AS up_position
MATCH (u)-[e:CONNECTS]->(v:Unit)-[n:MEMBER_OF]->(:Family {uid: $down})
WITH u, up_position, v, e, min(n.position) AS down_position
ORDER BY down_position, up_position, v.uid, u.uid LIMIT $limit
RETURN u.uid AS up, up_position, v.uid AS down, down_position, e.sum AS sum, e.share_in AS share_in, e.kh AS rows,
       e.kw AS cols, e.kernel AS kernel
ORDER BY down_position, up_position, down, up
