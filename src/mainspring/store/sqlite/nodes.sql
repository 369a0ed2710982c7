-- name: join!
-- A node begins its life.
insert into nodes (name, beat, host, patient, groups, slots) values (:node, :beat, :host, :patient, :groups, :slots);

-- name: beat
-- A node lives.
update nodes set beat = beat + 1 where name = :node returning beat;

-- name: nodes
-- All nodes that have a row.
select name, beat, host, patient, groups, slots, stuck from nodes order by name;

-- name: show_stuck!
-- Of which groups a node has no thread left.
update nodes set stuck = :stuck where name = :node;

-- name: bury
-- A node is dead, if it has not beaten since.
delete from nodes where name = :node and beat = :beat returning name;

-- name: leave!
-- A node ends its life.
delete from nodes where name = :node;

-- name: notes
-- What was noted under a kind.
select name, value from notes where kind = :kind and value is not null order by name;

-- name: note_now
-- A note as it is.
select value from notes where kind = :kind and name = :name;

-- name: noted
-- A number that rises with every note by which nodes decide.
select coalesce(max(version), 0) from notes where kind not in ({quiet_kinds});

-- name: note!
-- A note, or that there is none any more.
insert into notes (kind, name, value, version) values (:kind, :name, :value, :version)
on conflict (kind, name) do update set value = excluded.value, version = excluded.version;
