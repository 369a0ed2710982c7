-- Rows of a later format than a node knows are left to others.
alter table jobs add column format integer not null default 1;
-- Batches on their way into `jobs`, a slice at a time, so that claims come between. Those that are accepted go on after a crash, others are
-- forgotten.
create table batches (
    batch text not null,
    slice integer not null,
    jobs text not null,
    unrun text not null,
    primary key (batch, slice)
) strict, without rowid;
create table accepted (
    batch text primary key
) strict, without rowid;
-- Jobs that were deleted, whose children are to follow.
create table deletions (
    parent text primary key
) strict, without rowid;
