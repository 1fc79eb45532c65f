import { eventLatency } from './event-latency.ts';
import { duration, percentile } from './measure.ts';
import type { Run } from './run.ts';
import type { Row } from './table.ts';

const targetMs = 5;

export async function latency(run: Run): Promise<Row[]> {
  run.tell('Latency that the host adds to an event');
  const latencies = await eventLatency();
  const p99 = percentile(latencies, 0.99);
  return [
    { what: 'p50', ours: duration(percentile(latencies, 0.5)) },
    { what: 'p99', ours: duration(p99), target: `at most ${targetMs} ms`, met: p99 <= targetMs },
  ];
}
