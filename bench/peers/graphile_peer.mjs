// Graphile Worker as a peer, tuned as its documentation on performance says; see workload.py for the arguments.

import { Logger, makeWorkerUtils, run } from "graphile-worker";

const [, , connectionString, command, ...numbers] = process.argv;
const logger = new Logger(() => () => {});

const preset = {
  worker: {
    connectionString,
    concurrentJobs: 24,
    maxPoolSize: 25,
    pollInterval: 100, // the default, 2 s, is what a job in the future may be late
    localQueue: { size: 500 },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  },
};

// Jobs for `start` (seconds since 1970) and `gap` seconds apart from there.
async function fill(count, start, gap) {
  const utils = await makeWorkerUtils({ preset, logger });
  await utils.migrate();
  await utils.withPgClient((client) =>
    client.query(
      `select count(*) from graphile_worker.add_jobs(array(
         select ('noop', json_build_object('due', due), null, to_timestamp(due), null, null, null, null)
           ::graphile_worker.job_spec
         from generate_series(0, $1::int - 1) n, lateral (select $2::float8 + n * $3::float8 as due) t
       ))`,
      [count, start, gap],
    ),
  );
  await utils.release();
}

async function work() {
  const starts = [];
  const noop = async ({ due }) => {
    starts.push([due, (performance.timeOrigin + performance.now()) / 1000]);
};
  const runner = await run({ preset, logger, noHandleSignals: true, taskList: { noop } });
  console.log("ready");
  process.once("SIGTERM", async () => {
    await runner.stop();
    console.log(JSON.stringify(starts));
  });
  await runner.promise;
}

await (command === "fill" ? fill(...numbers.map(Number)) : work());
