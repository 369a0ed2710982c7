-- Notes by which nodes decide are all but those.
drop index mainspring.notes_decisive;
create index notes_decisive on mainspring.notes (version)
where kind not in ('replanning', 'declared', 'schema', 'action', 'webhook', 'webhook-place');
