-- Rows of a later format than a node knows are left to others.
alter table mainspring.jobs add column format smallint not null default 1;
-- Moments come and go as the driver has them.
drop function mainspring.microseconds(timestamptz);
-- Jobs that were deleted, whose children are to follow.
create table mainspring.deletions (
    parent uuid primary key
);
-- The number of the last note that decisions go by.
create index notes_decisive on mainspring.notes (version) where kind <> 'replanning';
