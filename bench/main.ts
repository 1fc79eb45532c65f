import { bootAlone } from './qemu-alone.ts';
import { nativeTasks } from './native-tasks.ts';
import { percentile, print, type Row, seconds, timed } from './measure.ts';
import { runtimes } from '@citb/api';
import { Daemon } from '../test/vm/harness.ts';
import { eventLatency } from './event-latency.ts';
import { transfer } from './transfer.ts';

/** `npm run bench`: everything in one run on one machine, since only the ratios mean something elsewhere. */
const task = 'Create a Python script that prints hello world';
const rows: Row[] = [];

console.log('QEMU alone: kernel to the first line of the guest ...');
const alone = await bootAlone();
rows.push({ what: 'QEMU alone: kernel and initramfs', value: seconds(alone) });

console.log('Native Claude Code: two tasks ...');
const native = await nativeTasks(task);
rows.push({ what: 'native task, first / second', value: `${seconds(native.first)} / ${seconds(native.second)}` });

await using daemon = await Daemon.start();
for (const runtime of runtimes) {
  console.log(`Cold create of ${runtime} ...`);
  const created = await timed(() => daemon.create(`bench-${runtime}`, runtime));
  rows.push({ what: `cold create, ${runtime}`, value: seconds(created.ms), ratio: `${(created.ms / alone).toFixed(1)} x QEMU alone` });
}
const status = await daemon.json<{ boxes: { runtime: string; memory_used_mib: number | null }[] }>('GET', '/status');
for (const box of status.boxes)
  rows.push({ what: `memory of the VMM, ${box.runtime}`, value: `${Math.round(box.memory_used_mib ?? 0)} MiB` });

console.log('Tasks in a box ...');
const first = await timed(() => daemon.task('bench-claude-agent', task));
const second = await timed(() => daemon.task('bench-claude-agent', task));
rows.push({ what: 'first task in a box', value: seconds(first.ms), ratio: `${(first.ms / native.first).toFixed(1)} x native` });
rows.push({
  what: 'second task in a box',
  value: seconds(second.ms),
  ratio: `${(second.ms / native.second).toFixed(1)} x native`,
  target: '4 x under emulation',
});

console.log('Files ...');
for (const row of await transfer(daemon, 'bench-bash')) rows.push(row);
for (const runtime of runtimes) await daemon.kill(`bench-${runtime}`);

console.log('Latency that the host adds to an event ...');
const latencies = await eventLatency();
rows.push({
  what: 'latency the host adds per event, p50 / p99',
  value: `${percentile(latencies, 0.5).toFixed(2)} / ${percentile(latencies, 0.99).toFixed(2)} ms`,
  target: 'p99 at most 5 ms',
});

console.log();
print(rows);
