-- What happened, in the order in which it is read: a row for each write and kind, with the jobs and runs that it was about.
create table events (
    cursor integer primary key autoincrement,
    at integer not null,
    kind text not null,
    product text,
    job_group text,
    state text,
    outcome text,
    node text,
    jobs text,
    runs text,
    detail text
) strict;
-- Up to which of them were forgotten.
create table events_head (
    pruned integer not null
) strict;
insert into events_head (pruned) values (0);
