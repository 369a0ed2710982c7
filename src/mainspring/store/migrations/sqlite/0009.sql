-- What calls were answered that may be sent again.
create table receipts (
    id blob not null primary key,
    at integer not null,
    fingerprint blob not null,
    answer blob not null
) strict, without rowid;
create index receipts_at on receipts (at);
-- A digest of the body of a job that has its id from its caller.
alter table jobs add column digest text;
alter table runs add column digest text;
