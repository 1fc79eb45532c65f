import { bench, done, hello } from '@citb/host/tasks/bench.double.ts';

const events = 1000;

/**
 * For each event of a task, ms from the moment a guest's agent server (a double, on loopback) writes it until a reader of the host's
 * stream has it: the host's whole share, with the record in the database (in memory here) and one HTTP hop.
 */
export async function eventLatency(): Promise<number[]> {
  await using it = await bench();
  const task = await it.tasks.start('box', hello);
  const delays: number[] = [];
  let sent = 0;
  let arrived = Promise.withResolvers<void>();
  const reading = (async () => {
    for await (const event of it.tasks.events('box', task.id, 0, AbortSignal.timeout(120_000))) {
      if (event?.type !== 'text_delta') continue;
      delays.push(performance.now() - sent);
      arrived.resolve();
    }
  })();
  for (let index = 0; index < events; index++) {
    arrived = Promise.withResolvers<void>();
    sent = performance.now();
    it.agent.emit(task.id, { type: 'text_delta', content: 'x', index });
    await arrived.promise;
  }
  it.agent.emit(task.id, done);
  await reading;
  return delays;
}
