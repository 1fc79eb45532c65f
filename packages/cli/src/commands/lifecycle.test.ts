import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { createServicesDouble, startServer } from '@citb/testkit/services/index.ts';
import { runCitb } from '../run.ts';

test('pause, resume and stop say how the box is; update changes it; events tell of it until it is killed', async () => {
  await using services = await createServicesDouble();
  await using server = await startServer(services, { apiKey: 'key-of-the-cli-tests' });
  const env = { CITB_URL: server.url, CITB_API_KEY: 'key-of-the-cli-tests', HOME: '/nowhere' };

  /** `during` is told what stdout has so far. */
  async function citb(args: readonly string[], during?: (out: string) => void): Promise<{ code: number; out: string; err: string }> {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    let seen = '';
    stdout.on('data', (chunk: Buffer) => during?.((seen += chunk.toString())));
    const streams = { stdin: Readable.from([]), stdout, stderr, env } as unknown as Parameters<typeof runCitb>[1];
    const ended = runCitb(args, streams, '0.0.0-test').finally(() => [stdout, stderr].map((stream) => stream.end()));
    const [out, err, code] = await Promise.all([text(stdout), text(stderr), ended]);
    return { code, out, err };
  }

  const { out: id } = await citb(['create', '--user', 'sleeper', '--idle', '10m']);
  assert.equal(services.boxes.lastRequest?.idleS, 600);
  for (const [verb, state] of [
    ['pause', 'paused'],
    ['resume', 'running'],
    ['stop', 'stopped'],
  ] as const)
    assert.match((await citb([verb, 'sleeper'])).err, new RegExp(`${id.trim()} is ${state}`));
  assert.notEqual((await citb(['pause', 'sleeper'])).code, 0);

  services.host.takes = { saved_mib: 200, checkpoints_mib: 30 };
  const { out: status } = await citb(['status']);
  assert.match(status, /DISK +SAVED +CHECKPOINTS/);
  assert.match(status, /1 MiB \/ 5 GiB +200 MiB +30 MiB/);

  const updated = await citb(['update', 'sleeper', '--idle', '0', '--timeout', '2h', '--on-timeout', 'pause', '--json']);
  const info = JSON.parse(updated.out) as { idle_s: number; on_timeout: string; expires: string };
  assert.deepEqual([info.idle_s, info.on_timeout], [0, 'pause']);
  assert.ok(Math.abs(Date.parse(info.expires) - Date.now() - 7_200_000) < 60_000);
  assert.equal((await citb(['update', 'sleeper'])).code, 2);
  assert.equal((await citb(['update', 'sleeper', '--on-timeout', 'explode'])).code, 2);

  let killed: Promise<unknown> | undefined;
  const { out } = await citb(['events', 'sleeper', '--json'], (seen) => {
    if (seen.includes('updated')) killed ??= citb(['kill', 'sleeper']);
  });
  await killed;
  const types = out
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { type: string }).type);
  assert.deepEqual(types, ['created', 'running', 'paused', 'running', 'stopped', 'updated', 'killed']);
});
