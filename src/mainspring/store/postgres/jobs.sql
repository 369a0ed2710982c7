-- name: add
-- New jobs, all or none; the parameter has the columns of the table.
insert into mainspring.jobs ({job_columns}) select * from unnest(:jobs::mainspring.jobs[]);

-- name: add_with_receipts
-- The same with what the calls are answered.
with kept as (
    insert into mainspring.receipts (id, at, fingerprint, answer)
    select r.id, coalesce(:now::timestamptz, now()), r.fingerprint, r.answer
    from unnest(:receipts::bytea[], :fingerprints::bytea[], :answers::bytea[]) as r (id, fingerprint, answer)
)
insert into mainspring.jobs ({job_columns}) select * from unnest(:jobs::mainspring.jobs[]);

-- name: keep!
-- What a call is answered.
insert into mainspring.receipts (id, at, fingerprint, answer) values (:receipt, coalesce(:now::timestamptz, now()), :fingerprint, :answer);

-- name: receipt
-- What a call was answered.
select id, fingerprint, answer from mainspring.receipts where id = :receipt;

-- name: forget_receipt!
-- One that is too old.
delete from mainspring.receipts where id = :receipt and at < coalesce(:now::timestamptz, now()) - :kept_for::interval;

-- name: prune_receipts!
-- All that are too old.
delete from mainspring.receipts where at < coalesce(:now::timestamptz, now()) - :kept_for::interval;

-- name: is_done
-- Whether a job is done.
select exists (select from mainspring.runs where job_id = :id and version is not null);

-- name: which
-- Those of these jobs that are there: asked when the answer to an insert was lost.
select id from mainspring.jobs where id = any(:ids::uuid[]);

-- name: time
-- The store's time, or the one that a test set.
select coalesce(:now::timestamptz, now());

-- name: get
-- One job by id that is not done.
select {job_columns} from mainspring.jobs where id = :id;

-- name: some
-- Those of these jobs that are not done.
select {job_columns} from mainspring.jobs where id = any(:ids::uuid[]);

-- name: get_done
-- One job by id that is done.
select {done_job_columns}, {run_columns} from mainspring.runs where job_id = :id and version is not null order by number desc limit 1;

-- name: page
-- Jobs of a group by due time and id, from beyond a position on: merged from the five indexes, each of which is in that order; the bounds of creation lead to no other index.
select * from (
    (
        select {job_columns} from mainspring.jobs
        where product = :product and job_group = :job_group and state = 'scheduled' and 'scheduled' = any(:states::text[]) and parent is null
          and (:labels::text[] is null or labels::jsonb ?& :labels::text[])
          and priority = 5 and (due_at, id) > (:after_due, :after_id) and due_at <= :due_last and created_at = least(greatest(created_at, :created_from), :created_last)
        order by due_at, id
        limit :limit
    ) union all (
        select {job_columns} from mainspring.jobs
        where product = :product and job_group = :job_group and state = 'scheduled' and 'scheduled' = any(:states::text[]) and parent is null
          and (:labels::text[] is null or labels::jsonb ?& :labels::text[])
          and priority <> 5 and (due_at, id) > (:after_due, :after_id) and due_at <= :due_last and created_at = least(greatest(created_at, :created_from), :created_last)
        order by due_at, id
        limit :limit
    ) union all (
        select {job_columns} from mainspring.jobs
        where product = :product and job_group = :job_group and state = 'running' and 'running' = any(:states::text[]) and parent is null
          and (:labels::text[] is null or labels::jsonb ?& :labels::text[])
          and (due_at, id) > (:after_due, :after_id) and due_at <= :due_last and created_at = least(greatest(created_at, :created_from), :created_last)
        order by due_at, id
        limit :limit
    ) union all (
        select {job_columns} from mainspring.jobs
        where product = :product and job_group = :job_group and state = 'paused' and (waits_for is null or paused) and 'paused' = any(:states::text[]) and parent is null
          and (:labels::text[] is null or labels::jsonb ?& :labels::text[])
          and (due_at, id) > (:after_due, :after_id) and due_at <= :due_last and created_at = least(greatest(created_at, :created_from), :created_last)
        order by due_at, id
        limit :limit
    ) union all (
        select {job_columns} from mainspring.jobs
        where product = :product and job_group = :job_group and state = 'paused' and waits_for is not null and not paused
          and 'scheduled' = any(:states::text[]) and parent is null
          and (:labels::text[] is null or labels::jsonb ?& :labels::text[])
          and (due_at, id) > (:after_due, :after_id) and due_at <= :due_last and created_at = least(greatest(created_at, :created_from), :created_last)
        order by due_at, id
        limit :limit
    )
) pending
order by due_at, id
limit :limit;

-- name: page_of_outcomes
-- The same for those whose last runs ended in some ways, and with :gave_up gave up: merged from one index, which is in that order for each.
select page.* from unnest(:outcomes::text[]) as o (outcome)
cross join lateral (
    select {job_columns} from mainspring.jobs j
    where j.product = :product and j.job_group = :job_group and j.outcome = o.outcome and case when j.state = 'paused' and j.waits_for is not null and not j.paused then 'scheduled' else j.state end = any(:states::text[]) and j.parent is null
      and (:labels::text[] is null or j.labels::jsonb ?& :labels::text[])
      and (not :gave_up or j.attempt = 0)
      and (j.due_at, j.id) > (:after_due, :after_id) and j.due_at <= :due_last and j.created_at >= :created_from and j.created_at <= :created_last
    order by j.due_at, j.id
    limit :limit
) page
order by due_at, id
limit :limit;

-- name: page_done
-- Jobs of a group that are done, from the one that ended last.
select {done_job_columns}, {run_columns} from mainspring.runs
where version is not null and product = :product and job_group = :job_group and number < :after_run
  and (:outcomes::text[] is null or outcome = any(:outcomes::text[]))
  and due_at >= :due_from and due_at <= :due_last and created_at >= :created_from and created_at <= :created_last
  and (:labels::text[] is null or labels::jsonb ?& :labels::text[])
order by number desc
limit :limit;

-- name: page_done_of_outcomes
-- The same for those that ended in some ways, none of which is a success: merged from one index, which is in that order for each.
select {done_job_columns}, {run_columns} from unnest(:outcomes::text[]) as o (wanted)
cross join lateral (
    select * from mainspring.runs r
    where r.version is not null and r.outcome <> 'succeeded' and r.product = :product and r.job_group = :job_group and r.outcome = o.wanted
      and r.number < :after_run and r.due_at >= :due_from and r.due_at <= :due_last and r.created_at >= :created_from and r.created_at <= :created_last
      and (:labels::text[] is null or r.labels::jsonb ?& :labels::text[])
    order by r.number desc
    limit :limit
) page
order by number desc
limit :limit;

-- name: counts
-- How many jobs are where, and how many of them gave up.
select product, job_group, state, gave_up, sum(jobs)::bigint from mainspring.counts group by product, job_group, state, gave_up having sum(jobs) > 0;

-- name: bytes_of_group
-- How many bytes the requests of the jobs of a group have: all jobs that are here are in one of five indexes, or all are read.
select coalesce(sum(octet_length(request::text)), 0)::bigint from mainspring.jobs
where product = :product and job_group = :job_group
  and (state = 'scheduled' and priority = 5 or state = 'scheduled' and priority <> 5 or state = 'running'
       or state = 'paused' and (waits_for is null or paused) or state = 'paused' and waits_for is not null and not paused);

-- name: bytes_of_product
-- The same of the jobs of a product.
select coalesce(sum(octet_length(request::text)), 0)::bigint from mainspring.jobs
where product = :product
  and (state = 'scheduled' and priority = 5 or state = 'scheduled' and priority <> 5 or state = 'running'
       or state = 'paused' and (waits_for is null or paused) or state = 'paused' and waits_for is not null and not paused);

-- name: update
-- An edited job, if nobody else wrote it meanwhile, and its labels.
with before as materialized (
    select paused from mainspring.jobs where id = :id and version = :version - 1
),
edited as (
    update mainspring.jobs set {edits}, labels = :labels
    where id = :id and version = :version - 1
    returning id, product, job_group, parent, state, paused, waits_for, hold
),
told as (
    insert into mainspring.events (kind, product, job_group, state, jobs, detail)
    select case when b.paused and not e.paused then 'job.resumed' when e.paused and not b.paused then 'job.paused' else 'job.changed' end,
        e.product, e.job_group, case when e.state = 'paused' and e.waits_for is not null and not e.paused then 'scheduled' else e.state end,
        array[e.id], case when e.paused and not b.paused then json_build_object('reason', e.hold ->> 'reason') end
    from edited e, before b where e.parent is null
),
unlabelled as (
    delete from mainspring.labels l using edited e
    where l.job_id = e.id and l.label not in (select json_array_elements_text(:labels::json))
),
labelled as (
    insert into mainspring.labels (label, product, job_group, job_id)
    select l.label, e.product, e.job_group, e.id from edited e, json_array_elements_text(:labels::json) as l (label) where e.parent is null
    on conflict do nothing
)
select id from edited;

-- name: amend
-- A done job with another request, trigger and options, if nobody else wrote it meanwhile; its times are written so that they can be read.
with edited as (
    update mainspring.runs set request = :request, trigger = :trigger, options = :options, version = :version, fire_time = :fire_time,
        due_at = :due_at, created_at = :created_at, labels = :labels
    where job_id = :id and version = :version - 1
    returning number, job_id, product, job_group
),
told as (
    insert into mainspring.events (kind, product, job_group, state, jobs)
    select 'job.changed', product, job_group, 'done', array[job_id] from edited
),
unlabelled as (
    delete from mainspring.labels l using edited e
    where l.job_id = e.job_id and l.label not in (select json_array_elements_text(:labels::json))
),
labelled as (
    insert into mainspring.labels (label, product, job_group, job_id)
    select l.label, e.product, e.job_group, e.job_id from edited e, json_array_elements_text(:labels::json) as l (label)
    on conflict do nothing
)
select number from edited;

-- name: end_being_done
-- A done job is so no longer, if nobody else wrote it meanwhile: its history stays, what the job was goes.
with gone as (
    update mainspring.runs
    set version = null, failures = null, losses = null, {forget_kept_columns}
    where job_id = :id and version = :version
    returning number, product, job_group, outcome, finished_at
),
counted as (
    insert into mainspring.counts (product, job_group, state, gave_up, day, jobs)
    select product, job_group, 'done', mainspring.gave_up(outcome, 0), (finished_at at time zone 'UTC')::date, -1 from gone
)
select number from gone;

-- name: delete
-- A job, if nobody else wrote it meanwhile.
delete from mainspring.jobs where id = :id and version = :version returning id;

-- name: end_unrun
-- A job that does not run is done, if nobody else wrote it meanwhile: a row of history, which gets a new number, holds what it was.
with gone as (
    delete from mainspring.jobs where id = :id and version = :version - 1 and run is null returning *
),
counted as (
    insert into mainspring.counts (product, job_group, state, gave_up, day, jobs)
    select product, job_group, 'done', false, (:finished_at::timestamptz at time zone 'UTC')::date, 1 from gone
)
insert into mainspring.runs (
    number, job_id, fire_time, due_at, started_at, finished_at, attempt, product, job_group, node, outcome, reason,
    version, failures, losses, {kept_columns}, backfill
)
select nextval('mainspring.fence'), id, fire_time, due_at, :finished_at, :finished_at, 0, product, job_group, '', :outcome, :reason,
    :version, failures, losses, {kept_columns_of_job}, backfill
from gone j
returning number;

-- name: unlabel!
-- Jobs are gone.
delete from mainspring.labels where job_id = any(:ids::uuid[]);

-- name: find
-- Jobs of a group, a product or all with some labels, by due time or creation, and id, from beyond a place on.
select {job_columns} from mainspring.jobs
where id = any(array(  -- an array is looked up id by id, whatever is thought of the number of labels
        select l.job_id from unnest(:lows::text[], :highs::text[]) as w (low, high)
        join mainspring.labels l on l.label between w.low and w.high
        where :product in ('', l.product) and :job_group in ('', l.job_group)
        union
        select named.id from mainspring.jobs named where named.id between :first_id and :last_id
    ))
  and :product in ('', product) and :job_group in ('', job_group) and parent is null
  and case when state = 'paused' and waits_for is not null and not paused then 'scheduled' else state end = any(:states::text[])
  and (:outcomes::text[] is null or outcome = any(:outcomes::text[])) and (not :gave_up or attempt = 0)
  and (:labels::text[] is null or labels::jsonb ?& :labels::text[]) and (:node::text is null or node = :node)
  and due_at >= :due_from and due_at <= :due_last and created_at >= :created_from and created_at <= :created_last
  and (case when :by_created then created_at else due_at end, id) > (:after_due, :after_id)
order by case when :by_created then created_at else due_at end, id
limit :limit;

-- name: find_done
-- The same of jobs that are done, from the one that ended last.
select {done_job_columns}, {run_columns} from mainspring.runs
where job_id = any(array(
        select l.job_id from unnest(:lows::text[], :highs::text[]) as w (low, high)
        join mainspring.labels l on l.label between w.low and w.high
        where :product in ('', l.product) and :job_group in ('', l.job_group)
        union
        select named.job_id from mainspring.runs named where named.job_id between :first_id and :last_id and named.version is not null
    ))
  and :product in ('', product) and :job_group in ('', job_group) and version is not null and number < :after_run
  and (:outcomes::text[] is null or outcome = any(:outcomes::text[]))
  and (:labels::text[] is null or labels::jsonb ?& :labels::text[]) and (:node::text is null or node = :node)
  and due_at >= :due_from and due_at <= :due_last and created_at >= :created_from and created_at <= :created_last
order by number desc
limit :limit;

-- name: count_labelled
-- How many jobs of a group, a product or all have labels in these ranges, as far as they are counted.
select count(*) from (
    select from unnest(:lows::text[], :highs::text[]) as w (low, high)
    join mainspring.labels l on l.label between w.low and w.high
    where :product in ('', l.product) and :job_group in ('', l.job_group)
    limit :most
) counted;

-- name: page_created
-- Jobs of a group by when they were created, from beyond a place on.
select * from (
    (
        select {job_columns} from mainspring.jobs
        where product = :product and job_group = :job_group and state in ('scheduled', 'paused') and parent is null
          and case when state = 'paused' and waits_for is not null and not paused then 'scheduled' else state end = any(:states::text[])
          and (:outcomes::text[] is null or outcome = any(:outcomes::text[])) and (not :gave_up or attempt = 0)
          and (:labels::text[] is null or labels::jsonb ?& :labels::text[])
          and due_at >= :due_from and due_at <= :due_last
          and (created_at, id) > (:after_due, :after_id) and created_at >= :created_from and created_at <= :created_last
        order by created_at, id
        limit :limit
    ) union all (
        select {job_columns} from mainspring.jobs
        where product = :product and job_group = :job_group and state = 'running' and 'running' = any(:states::text[]) and parent is null
          and (:outcomes::text[] is null or outcome = any(:outcomes::text[])) and (not :gave_up or attempt = 0)
          and (:labels::text[] is null or labels::jsonb ?& :labels::text[])
          and due_at >= :due_from and due_at <= :due_last
          and (created_at, id) > (:after_due, :after_id) and created_at >= :created_from and created_at <= :created_last
        order by created_at, id
        limit :limit
    )
) pending
order by created_at, id
limit :limit;

-- name: on_node
-- Jobs that run on a node, by due time or creation.
select {job_columns} from mainspring.jobs where state = 'running' and node = :node and parent is null
  and :product in ('', product) and :job_group in ('', job_group)
order by due_at, id;

-- name: labelled_jobs
-- Some jobs that have labels, from beyond one on, and whether they are there or in history.
select k.job_id, exists (select from mainspring.jobs j where j.id = k.job_id)
    or exists (select from mainspring.runs r where r.job_id = k.job_id and r.version is not null)
from (select distinct job_id from mainspring.labels where job_id > :after order by job_id limit :limit) k;

-- name: with_keys
-- Jobs of a group that have any of these keys and are not done.
select {job_columns} from mainspring.jobs
where product = :product and job_group = :job_group and options ->> 'key' = any(:keys::text[]) and options ->> 'key' is not null and parent is null;

-- name: wait!
-- Jobs wait for others.
insert into mainspring.waits (awaited, waiting)
select w.awaited, w.waiting from unnest(:awaited::uuid[], :waiting::uuid[]) as w (awaited, waiting)
on conflict (awaited, waiting) do update set is_known = false;

-- name: waiting
-- Jobs that wait for one.
select {job_columns} from mainspring.jobs
where id in (select waiting from mainspring.waits where awaited = :awaited) and waits_for is not null
order by id;

-- name: ended_waits
-- Jobs that others wait for and that are over, where these have not heard of it; and whether anybody waits for any.
select array(
    select distinct w.awaited from mainspring.waits w
    where not w.is_known and not exists (select from mainspring.jobs j where j.id = w.awaited)
    limit :limit
), exists (select from mainspring.waits where not is_known);

-- name: know!
-- Those that wait for a job have heard that it is over.
update mainspring.waits set is_known = true where awaited = :awaited;

-- name: wait_again!
-- A job that was over is so no longer: who waits for it has to hear of its end again.
update mainspring.waits set is_known = false where awaited = :awaited;

-- name: forget_waits!
-- Nobody waits any more.
delete from mainspring.waits w where not exists (select from mainspring.jobs j where j.id = w.waiting);

-- name: resumable
-- Paused jobs that are to go on by themselves.
select {job_columns} from mainspring.jobs where resume_at <= coalesce(:now::timestamptz, now()) order by resume_at limit :limit;

-- name: recurring
-- Jobs of all groups that recur, by id, from beyond one on.
select {job_columns} from mainspring.jobs
where trigger is not null and id > :after and (:calendar::text is null or :calendar in (trigger ->> 'calendar', trigger -> 'calendar' ->> 'name'))
order by id
limit :limit;

-- name: count_recurring
-- How many of these there are.
select count(*) from mainspring.jobs
where trigger is not null and :calendar::text in (trigger ->> 'calendar', trigger -> 'calendar' ->> 'name');

-- name: children
-- The jobs that were taken out of another.
select {job_columns} from mainspring.jobs where parent = :parent order by id;

-- name: split_off
-- A running job waits for its next occurrence, if nobody else wrote it meanwhile: another has its run.
update mainspring.jobs set {edits}, run = null, node = null, claimed_at = null
where id = :id and version = :version - 1
returning id;

-- name: claim
-- Take due jobs for a living node: per group at most its demand, first by rank, but for rows that another claim holds; and the next due time.
with notes as materialized (
    -- Who does not know all notes gets no jobs that may go by calendars, who does not know all pauses and limits none.
    select :notes::bigint is null or :notes >= coalesce(max(version) filter (where kind not in ({quiet_kinds})), 0) as is_current,
        :notes::bigint is null or :notes >= coalesce(max(version) filter (where kind in ('pause', 'limits', 'busy')), 0) as knows_pauses
    from mainspring.notes
),
due as materialized (
    select j.id, w.nr
    from unnest(:products::text[], :job_groups::text[], :demands::integer[]) with ordinality as w (product, job_group, demand, nr)
    cross join lateral (
        -- The priority of nearly all jobs has an index of its own; each priority is read by due time.
        select c.id from (
            select * from (
                select j.id, j.due_at, j.priority from mainspring.jobs j
                where j.product = w.product and j.job_group = w.job_group and j.state = 'scheduled' and j.priority = 5
                  and (j.trigger is null or (select is_current from notes)) and j.due_at <= coalesce(:now::timestamptz, now()) + :ahead::interval and j.format <= {format}
                order by j.due_at
                limit w.demand
                for update skip locked
            ) usual
            union all
            select f.id, f.due_at, f.priority
            from unnest('{0,1,2,3,4,6,7,8,9}'::smallint[]) as p (priority)
            cross join lateral (
                select j.id, j.due_at, j.priority from mainspring.jobs j
                where j.product = w.product and j.job_group = w.job_group and j.state = 'scheduled' and j.priority <> 5 and j.priority = p.priority
                  and (j.trigger is null or (select is_current from notes)) and j.due_at <= coalesce(:now::timestamptz, now()) + :ahead::interval and j.format <= {format}
                order by j.due_at
                limit w.demand
                for update skip locked
            ) f
        ) c
        order by least({first_priority}, c.priority + floor(extract(epoch from coalesce(:now::timestamptz, now()) - c.due_at) / {aging_seconds})) desc, c.due_at
        limit w.demand
    ) j
    where exists (select from mainspring.nodes where name = :node)
      and (select knows_pauses from notes)
    limit :limit
),
claimed as (
    update mainspring.jobs j
    set state = 'running', run = nextval('mainspring.fence'), node = :node, claimed_at = coalesce(:now::timestamptz, now()),
        attempt = least(attempt, 1000000000) + 1, version = least(version, 1000000000000000000) + 1,
        updated_at = coalesce(:now::timestamptz, now())
    from due
    where j.id = due.id
    returning {claimed_columns}, due.nr, j.product as of_product, j.job_group as of_group, coalesce(j.parent, j.id) as of_job
),
told as (
    insert into mainspring.events (at, kind, product, job_group, state, node, jobs, runs)
    select coalesce(:now::timestamptz, now()), 'run.started', of_product, of_group, 'running', :node, array_agg(of_job), array_agg(run)
    from claimed group by of_product, of_group
)
select {claimed_columns}, j.nr, (select coalesce(:now::timestamptz, now())), (
    select min(n.due_at)
    from unnest(:products::text[], :job_groups::text[]) as w (product, job_group)
    cross join lateral (
        (
            select j.due_at from mainspring.jobs j
            where j.product = w.product and j.job_group = w.job_group and j.state = 'scheduled' and j.priority = 5
              and j.due_at > coalesce(:now::timestamptz, now()) + :ahead::interval and j.format <= {format}
            order by j.due_at
            limit 1
        ) union all (
            select j.due_at from mainspring.jobs j
            where j.product = w.product and j.job_group = w.job_group and j.state = 'scheduled' and j.priority <> 5
              and j.due_at > coalesce(:now::timestamptz, now()) + :ahead::interval and j.format <= {format}
            order by j.due_at
            limit 1
        )
    ) n
), coalesce(:now::timestamptz, clock_timestamp())
from claimed j;

-- name: take_turn
-- Claims by limits, of one product, take turns: who waits too long gives up, and who is stopped meanwhile loses its turn.
select set_config('lock_timeout', '100ms', true), set_config('idle_in_transaction_session_timeout', '1s', true),
    pg_advisory_xact_lock(7236344, hashtext(:product));

-- name: load
-- What runs of a product by group and key, when its rates let the next job begin, and what is busy, as JSON; and what time it is.
select (
    select json_agg(json_build_array(r.job_group, r.concurrency_key, r.jobs, (extract(epoch from r.claimed_at) * 1000000)::bigint)) from (
        select j.job_group, j.concurrency_key, count(*) as jobs, max(j.claimed_at) as claimed_at
        from mainspring.jobs j where j.state = 'running' and j.product = :product group by 1, 2
    ) r
), (
    select json_agg(json_build_array(r.name, (extract(epoch from r.next_at) * 1000000)::bigint)) from mainspring.rates r
    where r.product = :product and r.forget_at > coalesce(:now::timestamptz, now())
), (
    select json_agg(json_build_array(p.concurrency_key, p.value)) from mainspring.pressures p where p.product = :product
), coalesce(:now::timestamptz, now());

-- name: pressures
-- What is known of the services behind these keys of a product, or behind all, and how many jobs of each run.
select k.key, p.value, (select count(*) from mainspring.jobs j where j.state = 'running' and j.product = :product and j.concurrency_key = k.key)
from (
    select unnest(:keys::text[]) as key
    union
    select concurrency_key from mainspring.pressures where product = :product and :keys::text[] is null
) k
left join mainspring.pressures p on p.product = :product and p.concurrency_key = k.key
order by k.key;

-- name: swap_pressure
-- What is known of a service, if it is as was believed; whether it was.
with gone as (
    delete from mainspring.pressures
    where product = :product and concurrency_key = :key and value = :before::text and :after::text is null
    returning true
),
changed as (
    update mainspring.pressures set value = :after::text
    where product = :product and concurrency_key = :key and value = :before::text and :after::text is not null
    returning true
),
added as (
    insert into mainspring.pressures (product, concurrency_key, value)
    select :product, :key, :after::text where :before::text is null and :after::text is not null
    on conflict do nothing
    returning true
)
select exists (select from gone) or exists (select from changed) or exists (select from added);

-- name: candidates
-- Due jobs of a group, first by rank, for a node that lives and knows the last pauses and limits.
with notes as materialized (
    select :notes::bigint is null or :notes >= coalesce(max(version) filter (where kind not in ({quiet_kinds})), 0) as is_current,
        :notes::bigint is null or :notes >= coalesce(max(version) filter (where kind in ('pause', 'limits', 'busy')), 0) as knows_limits
    from mainspring.notes
)
select d.id, d.concurrency_key, d.due_at from (
    (
        select j.id, j.concurrency_key, j.due_at, j.priority from mainspring.jobs j
        where j.product = :product and j.job_group = :job_group and j.state = 'scheduled' and j.priority = 5
          and (j.trigger is null or (select is_current from notes)) and j.due_at <= coalesce(:now::timestamptz, now()) + :ahead::interval and j.format <= {format}
        order by j.due_at
        limit :window
    )
    union all
    select f.*
    from unnest('{0,1,2,3,4,6,7,8,9}'::smallint[]) as p (priority)
    cross join lateral (
        select j.id, j.concurrency_key, j.due_at, j.priority from mainspring.jobs j
        where j.product = :product and j.job_group = :job_group and j.state = 'scheduled' and j.priority <> 5 and j.priority = p.priority
          and (j.trigger is null or (select is_current from notes)) and j.due_at <= coalesce(:now::timestamptz, now()) + :ahead::interval and j.format <= {format}
        order by j.due_at
        limit :window
    ) f
) d
where (select knows_limits from notes) and exists (select from mainspring.nodes where name = :node)
order by least({first_priority}, d.priority + floor(extract(epoch from coalesce(:now::timestamptz, now()) - d.due_at) / {aging_seconds})) desc, d.due_at
limit :window;

-- name: candidates_of_keys
-- The same of other keys than those that are full, from beyond a key on, each key's by rank; and the last key that was looked at.
with recursive notes as materialized (
    select :notes::bigint is null or :notes >= coalesce(max(version) filter (where kind not in ({quiet_kinds})), 0) as is_current from mainspring.notes
),
pairs as (
    (
        select j.concurrency_key, j.priority from mainspring.jobs j
        where j.product = :product and j.job_group = :job_group and j.state = 'scheduled' and j.concurrency_key > :after
        order by j.concurrency_key, j.priority
        limit 1
    )
    union all
    select n.concurrency_key, n.priority
    from pairs p
    cross join lateral (
        select j.concurrency_key, j.priority from mainspring.jobs j
        where j.product = :product and j.job_group = :job_group and j.state = 'scheduled'
          and (j.concurrency_key, j.priority) > (p.concurrency_key, p.priority)
        order by j.concurrency_key, j.priority
        limit 1
    ) n
),
looked as materialized (
    select * from pairs limit :most_keys
)
select c.id, c.concurrency_key, c.due_at, (select case when count(*) = :most_keys then max(concurrency_key) end from looked)
from (
    select j.* from looked k
    cross join lateral (
        select j.id, j.concurrency_key, j.due_at, j.priority from mainspring.jobs j
        where j.product = :product and j.job_group = :job_group and j.state = 'scheduled' and j.concurrency_key = k.concurrency_key
          and j.priority = k.priority and (j.trigger is null or (select is_current from notes))
          and j.due_at <= coalesce(:now::timestamptz, now()) + :ahead::interval and j.format <= {format}
        order by j.due_at
        limit :each
    ) j
    where k.concurrency_key <> all(:full::text[])
) c
order by least({first_priority}, c.priority + floor(extract(epoch from coalesce(:now::timestamptz, now()) - c.due_at) / {aging_seconds})) desc, c.due_at
limit :window;

-- name: claim_these
-- Take these jobs for a node that lives, those of them that nobody has written meanwhile.
with claimed as (
    update mainspring.jobs j
    set state = 'running', run = nextval('mainspring.fence'), node = :node, claimed_at = coalesce(:now::timestamptz, now()),
        attempt = least(attempt, 1000000000) + 1, version = least(version, 1000000000000000000) + 1,
        updated_at = coalesce(:now::timestamptz, now())
    where j.id = any(:ids::uuid[]) and j.state = 'scheduled' and exists (select from mainspring.nodes where name = :node)
    returning {claimed_columns}, j.product as of_product, j.job_group as of_group, coalesce(j.parent, j.id) as of_job
),
told as (
    insert into mainspring.events (at, kind, product, job_group, state, node, jobs, runs)
    select coalesce(:now::timestamptz, now()), 'run.started', of_product, of_group, 'running', :node, array_agg(of_job), array_agg(run)
    from claimed group by of_product, of_group
)
select {claimed_columns}, (select coalesce(:now::timestamptz, now())), coalesce(:now::timestamptz, clock_timestamp()) from claimed j;

-- name: put_rates!
-- When rates let the next job begin.
insert into mainspring.rates (product, name, next_at, forget_at)
select :product, r.name, r.next_at, r.forget_at from unnest(:names::text[], :next_at::timestamptz[], :forget_at::timestamptz[]) as r (name, next_at, forget_at)
on conflict (product, name) do update set next_at = excluded.next_at, forget_at = excluded.forget_at;

-- name: spend
-- A moment is moved on, if it is then not too far ahead of the time.
insert into mainspring.rates as r (product, name, next_at, forget_at)
select :product, :name, coalesce(:now::timestamptz, now()) + :cost::interval, coalesce(:now::timestamptz, now()) + :cost::interval
where :cost::interval <= :most::interval
on conflict (product, name) do update set
    next_at = greatest(r.next_at, coalesce(:now::timestamptz, now())) + :cost::interval,
    forget_at = greatest(r.next_at, coalesce(:now::timestamptz, now())) + :cost::interval
where greatest(r.next_at, coalesce(:now::timestamptz, now())) - coalesce(:now::timestamptz, now()) + :cost::interval <= :most::interval
returning r.next_at;

-- name: spent
-- Where a moment is, and what time it is.
select max(next_at), coalesce(:now::timestamptz, now()) from mainspring.rates where product = :product and name = :name;

-- name: prune_rates!
-- Rates that hold nobody back any more.
delete from mainspring.rates where forget_at <= coalesce(:now::timestamptz, now());

-- name: unclaim!
-- Jobs that did not begin, if they still have that run: as before they were claimed.
with returned as (
    update mainspring.jobs j
    set state = case when paused then 'paused' else 'scheduled' end, run = null, node = null, claimed_at = null, attempt = attempt - 1,
        version = version + 1, updated_at = coalesce(:now::timestamptz, now())
    from unnest(:ids::uuid[], :runs::bigint[]) as c (id, run)
    where j.id = c.id and j.run = c.run and not j.cancelling
    returning j.product, j.job_group, j.state, coalesce(j.parent, j.id) as job_id, c.run
)
insert into mainspring.events (at, kind, product, job_group, state, jobs, runs)
select coalesce(:now::timestamptz, now()), 'run.returned', product, job_group, state, array_agg(job_id), array_agg(run)
from returned group by product, job_group, state;

-- name: holding
-- What a node has claimed and not finished.
select {running_job_columns}
from mainspring.jobs j
where state = 'running' and node = :node;

-- name: next_due
-- When the next job of these groups is due, and what time it is.
select min(j.due_at), coalesce(:now::timestamptz, now())
from unnest(:products::text[], :job_groups::text[]) as w (product, job_group)
cross join lateral (
    (
        select j.due_at from mainspring.jobs j
        where j.product = w.product and j.job_group = w.job_group and j.state = 'scheduled' and j.priority = 5 and j.format <= {format}
        order by j.due_at
        limit 1
    ) union all (
        select j.due_at from mainspring.jobs j
        where j.product = w.product and j.job_group = w.job_group and j.state = 'scheduled' and j.priority <> 5 and j.format <= {format}
        order by j.due_at
        limit 1
    )
) j;

-- name: finish
-- What jobs became and their rows of history, for those that still have that run and were not edited meanwhile; how many they were.
with over as (
    -- Arrays of rows: 14 us a job from call to answer, where eight arrays of values took 22 (1,000 jobs a call).
    delete from mainspring.jobs j using unnest(:ended::mainspring.ended[]) c
    where j.id = c.id and j.run = c.run and j.version = c.version - 1
    returning j.run, coalesce(j.parent, j.id) as job_id, j.fire_time, j.due_at, mainspring.moment(c.started_at) as started_at,
        mainspring.moment(c.finished_at) as finished_at, j.attempt, j.product, j.job_group, j.node, c.outcome, c.reason,
        case when j.parent is null then c.version end as version, c.failures, c.losses, {kept_columns_of_job},
        j.backfill, c.passed, j.parent, c.result, c.result_error, c.traceback, c.log
),
change as materialized (
    select * from unnest(:kept::mainspring.kept[])
),
before as materialized (
    select j.run, j.id, coalesce(j.parent, j.id) as job_id, j.fire_time, j.due_at, j.attempt, j.product, j.job_group, j.node, j.backfill, j.paused
    from change c join mainspring.jobs j on j.id = c.id and j.run = c.run
),
kept as (
    update mainspring.jobs j
    set state = c.state, paused = c.paused, fire_time = mainspring.moment(c.fire_time), due_at = mainspring.moment(c.due_at),
        attempt = c.attempt, failures = c.failures, losses = c.losses, run = null, node = null, claimed_at = null, outcome = c.outcome,
        last_run = c.last_run, hold = c.hold, resume_at = mainspring.moment(c.resume_at), cancelling = false, give_ups = c.give_ups,
        last_success = coalesce(c.last_success, j.last_success), progress = null,
        version = c.version, updated_at = mainspring.moment(c.finished_at)
    from change c
    where j.id = c.id and j.run = c.run and j.version = c.version - 1
    returning c.id, c.run, mainspring.moment(c.started_at) as started_at, j.updated_at as finished_at, c.outcome, c.reason, c.passed, c.result, c.result_error,
        c.traceback, c.log, c.paused, c.hold
),
told_of_pauses as (
    insert into mainspring.events (kind, product, job_group, state, jobs, detail)
    select 'job.paused', b.product, b.job_group, 'paused', array[b.job_id], json_build_object('reason', k.hold ->> 'reason')
    from kept k join before b on b.id = k.id and b.run = k.run where k.paused and not b.paused
),
counted as (
    insert into mainspring.counts (product, job_group, state, gave_up, day, jobs)
    select product, job_group, 'done', mainspring.gave_up(outcome, 0), (finished_at at time zone 'UTC')::date, count(*)
    from over where version is not null
    group by product, job_group, 4, 5
),
told as (
    -- A job hears how an occurrence ended that ran beside it.
    update mainspring.jobs p set outcome = c.outcome, last_success = case when c.outcome = 'succeeded' then json_build_array(
        (extract(epoch from c.fire_time) * 1000000)::bigint, (extract(epoch from c.finished_at) * 1000000)::bigint, c.result
    ) else p.last_success end
    from (
        select distinct on (parent) parent, outcome, fire_time, finished_at, result from over where parent is not null and not backfill
        order by parent, run desc
    ) c
    where p.id = c.parent and p.id not in (select id from change)
),
history as (
    insert into mainspring.runs (
        number, job_id, fire_time, due_at, started_at, finished_at, attempt, product, job_group, node, outcome, reason,
        version, failures, losses, {kept_columns}, backfill, {large_columns}
    )
    select run, job_id, fire_time, due_at, started_at, finished_at, attempt, product, job_group, node, outcome, reason,
        version, failures, losses, {kept_columns}, backfill, {large_columns}
    from over
    union all
    select b.run, b.job_id, b.fire_time, b.due_at, k.started_at, k.finished_at, b.attempt, b.product, b.job_group, b.node, k.outcome,
        k.reason, null, null, null, {no_kept_columns}, b.backfill, k.result, k.result_error, k.traceback, k.log
    from kept k join before b on b.id = k.id and b.run = k.run
),
passed as (
    insert into mainspring.runs (
        number, job_id, product, job_group, fire_time, due_at, attempt, node, started_at, finished_at, outcome, reason,
        last_fire_time, occurrences
    )
    select nextval('mainspring.fence'), p.job_id, p.product, p.job_group, p.fire_time, p.due_at, p.attempt, p.node, p.started_at,
        p.finished_at, p.outcome, p.reason, p.last_fire_time, p.occurrences
    from (
        select passed from over where passed is not null
        union all
        select passed from kept where passed is not null
    ) w
    cross join lateral json_populate_recordset(null::mainspring.runs, w.passed) p
)
select (select count(*) from over) + (select count(*) from kept);

-- name: follow!
-- Jobs that a run asked for, but for those that are there or were, and those whose key another has.
insert into mainspring.jobs ({job_columns})
select * from unnest(:jobs::mainspring.jobs[]) j where not exists (select from mainspring.runs r where r.job_id = j.id)
on conflict do nothing;

-- name: put_progress!
-- How far runs are.
update mainspring.jobs j set progress = p.value::json
from unnest(:runs::bigint[], :progress::text[]) as p (run, value)
where j.run = p.run and j.state = 'running';

-- name: settled
-- Those of these runs that were ended in just that way, though nobody heard so.
select r.number
from unnest(:ids::uuid[], :numbers::bigint[], :finished::timestamptz[], :outcomes::text[]) as e (id, number, finished_at, outcome)
join mainspring.runs r on r.job_id = e.id and r.number = e.number
where r.finished_at = e.finished_at and r.outcome = e.outcome;

-- name: runs_of
-- The runs that these jobs have.
select id, run from mainspring.jobs where id = any(:ids::uuid[]) and run is not null;

-- name: ask_to_stop!
-- A running job was deleted or cancelled: its node is to stop the run. It may not have heard yet of the time before.
insert into mainspring.stops (run, node) values (:run, :node) on conflict do nothing;

-- name: under_way
-- What runs hold that are under way.
select product, job_group, concurrency_key, coalesce(parent, id), run, node, claimed_at from mainspring.jobs where state = 'running' order by run;

-- name: ahead
-- How many jobs of a group go before one, as far as they are counted.
select count(*) from (
    select 1 from (
        select due_at, id from mainspring.jobs
        where product = :product and job_group = :job_group and state = 'scheduled' and priority = 5
          and (:priority < 5 or :priority = 5 and (due_at, id) < (:due_at, :id)) and due_at <= :due_at
        union all
        select due_at, id from mainspring.jobs
        where product = :product and job_group = :job_group and state = 'scheduled' and priority <> 5
          and (priority > :priority or priority = :priority and (due_at, id) < (:due_at, :id)) and due_at <= :due_at
    ) before
    limit :limit
) counted;

-- name: rates
-- When the rates of a product let the next job begin.
select name, next_at from mainspring.rates where product = :product;

-- name: orphans
-- Running jobs of these groups whose node has no row.
select {running_job_columns}
from unnest(:products::text[], :job_groups::text[]) as w (product, job_group)
join mainspring.jobs j on j.product = w.product and j.job_group = w.job_group and j.state = 'running'
where j.node <> all(array(select name from mainspring.nodes)) and j.format <= {format}
order by j.run
limit :limit;

-- name: children_to_follow!
-- A job was deleted: if it has children they are to follow.
insert into mainspring.deletions (parent) select :id::uuid where exists (select from mainspring.jobs where parent = :id) on conflict do nothing;

-- name: deletions
-- Jobs that were deleted, whose children are to follow.
select parent from mainspring.deletions;

-- name: delete_children
-- The next children go; runs that are under way end in history, and their nodes are to stop them.
with gone as (
    delete from mainspring.jobs where id in (select id from mainspring.jobs where parent = :parent order by id limit :limit for update)
    returning *
),
history as (
    insert into mainspring.runs (
        number, job_id, fire_time, due_at, started_at, finished_at, attempt, product, job_group, node, outcome, reason, backfill
    )
    select run, parent, fire_time, due_at, greatest(claimed_at, due_at), coalesce(:now::timestamptz, now()), attempt, product, job_group,
        node, 'cancelled', :why, backfill
    from gone where state = 'running'
),
told as (
    insert into mainspring.stops (run, node) select run, node from gone where state = 'running' on conflict do nothing
)
select count(*) from gone;

-- name: followed!
-- No child is left.
delete from mainspring.deletions where parent = :parent;
