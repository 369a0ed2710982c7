-- What jobs share with others that limits by key count with them.
alter table jobs add column concurrency_key text;
alter table runs add column concurrency_key text;
-- Claims count what runs of a key, and look for jobs of other keys where those that are due first may not begin.
create index jobs_of_key on jobs (product, job_group, concurrency_key, priority, due_at) where state = 'scheduled' and concurrency_key is not null;
-- When a rate lets the next job begin, and from when on that says nothing any more.
create table rates (
    product text not null,
    name text not null,
    next_at integer not null,
    forget_at integer not null,
    primary key (product, name)
) strict, without rowid;
-- Which groups a node runs, and how many jobs at once.
alter table nodes add column groups text;
alter table nodes add column slots integer not null default 0;
