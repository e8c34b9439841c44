// BullMQ's side of the task-queue benchmark; see ../README.md for what is measured and why it is set so.
//
//   node peer.mjs REDIS_PORT throughput N | latency N | speedup
//
// Prints one line of JSON. `node peer.mjs REDIS_PORT worker CONCURRENCY` is a worker process: it prints
// "ready", consumes once it reads "go", and ends when its stdin closes, so that none outlives its driver.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Queue, QueueEvents, Worker } from 'bullmq';

const QUEUE = 'bench';
const CHUNK = 1000;
const WARM_UP = 2000;

const [port, scenario, argument] = process.argv.slice(2);
const connection = { host: '127.0.0.1', port: Number(port), maxRetriesPerRequest: null };

async function work(concurrency) {
  const run = async (job) => {
    if (job.data.sleep_ms) await sleep(job.data.sleep_ms);
    return { ok: true };
  };
  const worker = new Worker(QUEUE, run, { connection, concurrency, autorun: false });
  worker.on('error', (error) => console.error(error.message));
  await worker.waitUntilReady();
  const lines = createInterface({ input: process.stdin });
  lines.on('line', () => worker.run());
  lines.on('close', () => process.exit(0));
  console.log('ready');
}

async function startWorkers(count, concurrency) {
  const workers = [];
  for (let number = 0; number < count; number += 1) {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), port, 'worker', String(concurrency)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    workers.push(child);
  }
  const ready = workers.map(
    (child) =>
      new Promise((resolve, reject) => {
        createInterface({ input: child.stdout }).once('line', resolve);
        child.once('exit', () => reject(new Error('a worker ended early')));
      }),
  );
  await Promise.all(ready);
  return workers;
}

function go(workers) {
  for (const worker of workers) worker.stdin.write('go\n');
}

function residentMib(pid) {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/);
  return Number(line[1]) / 1024;
}

async function enqueue(queue, count) {
  for (let from = 0; from < count; from += CHUNK) {
    const size = Math.min(CHUNK, count - from);
    const jobs = Array.from({ length: size }, (_, index) => ({
      name: 'noop',
      data: { item: from + index, text: 'forty bytes of JSON.' },
    }));
    await queue.addBulk(jobs);
  }
}

async function completed(queue, count) {
  while ((await queue.getCompletedCount()) < count) await sleep(5);
}

const seconds = (began) => (performance.now() - began) / 1000;

async function throughput(count) {
  const queue = new Queue(QUEUE, { connection });
  const workers = await startWorkers(2, 100);
  // The compilers of all three processes settle on other jobs than the measured ones.
  go(workers);
  await enqueue(queue, WARM_UP);
  await completed(queue, WARM_UP);
  await queue.pause();
  let began = performance.now();
  await enqueue(queue, count);
  const enqueue_s = seconds(began);
  began = performance.now();
  await queue.resume();
  await completed(queue, WARM_UP + count);
  const consume_s = seconds(began);
  const worker_rss_mib = workers.reduce((sum, worker) => sum + residentMib(worker.pid), 0);
  return { tasks: count, enqueue_s, consume_s, worker_rss_mib };
}

async function latency(count) {
  const queue = new Queue(QUEUE, { connection });
  const events = new QueueEvents(QUEUE, { connection });
  await events.waitUntilReady();
  go(await startWorkers(2, 100));
  const samples = [];
  for (let number = -200; number < count; number += 1) {
    const began = performance.now();
    const job = await queue.add('noop', { item: number, text: 'forty bytes of JSON.' });
    await job.waitUntilFinished(events);
    if (number >= 0) samples.push(performance.now() - began);
  }
  samples.sort((a, b) => a - b);
  const at = (share) => samples[Math.round((samples.length - 1) * share)];
  return { p50_ms: at(0.5), p99_ms: at(0.99) };
}

async function speedup() {
  const queue = new Queue(QUEUE, { connection });
  const workers = await startWorkers(5, 1);
  go(workers);
  await enqueue(queue, 5);
  await completed(queue, 5);
  const jobs = Array.from({ length: 20 }, () => ({ name: 'sleep', data: { sleep_ms: 500 } }));
  const began = performance.now();
  await queue.addBulk(jobs);
  await completed(queue, 25);
  return { elapsed_s: seconds(began) };
}

const scenarios = { throughput, latency, speedup };
if (scenario === 'worker') {
  await work(Number(argument));
} else if (scenario in scenarios) {
  console.log(JSON.stringify({ scenario, ...(await scenarios[scenario](Number(argument))) }));
  process.exit(0);
} else {
  console.error('usage: node peer.mjs REDIS_PORT throughput N | latency N | speedup');
  process.exit(2);
}
