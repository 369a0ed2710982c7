-- name: join!
-- A node begins its life.
insert into mainspring.nodes (name, beat) values (:node, 0);

-- name: beat
-- A node lives.
update mainspring.nodes set beat = beat + 1 where name = :node returning beat;

-- name: nodes
-- All nodes that have a row.
select name, beat from mainspring.nodes order by name;

-- name: bury
-- A node is dead, if it has not beaten since.
with gone as (delete from mainspring.nodes where name = :node and beat = :beat returning name),
told as (delete from mainspring.stops where node in (select name from gone))
select name from gone;

-- name: leave!
-- A node ends its life.
with told as (delete from mainspring.stops where node = :node)
delete from mainspring.nodes where name = :node;
