-- The words by which a job is found: tags, keys and fields of its request.
alter table jobs add column labels text;
alter table runs add column labels text;
-- Which jobs have a word, as long as they or their history are there.
create table labels (
    label text not null,
    product text not null,
    job_group text not null,
    job_id text not null,
    primary key (label, product, job_group, job_id)
) strict, without rowid;
create index labels_of_job on labels (job_id);
-- Lists of jobs by when they were created.
create index jobs_created on jobs (product, job_group, created_at, id) where state in ('scheduled', 'paused');
-- Those that are there.
update jobs set labels = (
    select json_group_array(label) from (
        select 't:' || value as label from json_each(iif(json_valid(options), iif(json_type(options, '$.tags') = 'array', options -> '$.tags', '[]'), '[]'))
        union all select 'k:' || (options ->> '$.key') where json_valid(options) and options ->> '$.key' is not null
        union all select 'c:' || concurrency_key where concurrency_key is not null
    )
) where (options is not null and json_valid(options) and (options -> '$.tags' is not null or options -> '$.key' is not null)) or concurrency_key is not null;
update runs set labels = (
    select json_group_array(label) from (
        select 't:' || value as label from json_each(iif(json_valid(options), iif(json_type(options, '$.tags') = 'array', options -> '$.tags', '[]'), '[]'))
        union all select 'k:' || (options ->> '$.key') where json_valid(options) and options ->> '$.key' is not null
        union all select 'c:' || concurrency_key where concurrency_key is not null
    )
) where version is not null
    and ((options is not null and json_valid(options) and (options -> '$.tags' is not null or options -> '$.key' is not null)) or concurrency_key is not null);
insert or ignore into labels select l.value, j.product, j.job_group, j.id from jobs j, json_each(j.labels) as l where j.labels is not null and j.parent is null;
insert or ignore into labels select l.value, r.product, r.job_group, r.job_id from runs r, json_each(r.labels) as l where r.labels is not null and r.version is not null;
-- New jobs are labelled.
create trigger label_added after insert on jobs when new.labels is not null and new.parent is null begin
    insert or ignore into labels select value, new.product, new.job_group, new.id from json_each(new.labels);
end;
