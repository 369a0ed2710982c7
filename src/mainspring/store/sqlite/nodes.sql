-- name: join!
-- A node begins its life.
insert into nodes (name, beat, host, patient) values (:node, :beat, :host, :patient);

-- name: beat
-- A node lives.
update nodes set beat = beat + 1 where name = :node returning beat;

-- name: nodes
-- All nodes that have a row.
select name, beat, host, patient from nodes order by name;

-- name: bury
-- A node is dead, if it has not beaten since.
delete from nodes where name = :node and beat = :beat returning name;

-- name: leave!
-- A node ends its life.
delete from nodes where name = :node;
