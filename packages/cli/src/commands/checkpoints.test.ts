import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { createServicesDouble, startServer } from '@citb/testkit/services/index.ts';
import { runCitb } from '../run.ts';

test('checkpoint, checkpoints, rollback, fork, export and import', async () => {
  await using services = await createServicesDouble();
  await using server = await startServer(services, { apiKey: 'key-of-the-cli-tests' });
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'citb-export-'));
  stack.defer(() => rm(folder, { recursive: true }));

  async function citb(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const env = { CITB_URL: server.url, CITB_API_KEY: 'key-of-the-cli-tests', HOME: '/nowhere' };
    const streams = { stdin: Readable.from([]), stdout, stderr, env } as unknown as Parameters<typeof runCitb>[1];
    const ended = runCitb(args, streams, '0.0.0-test').finally(() => [stdout, stderr].map((stream) => stream.end()));
    const [out, err, code] = await Promise.all([text(stdout), text(stderr), ended]);
    return { code, out: out.trim(), err };
  }

  const { out: box } = await citb('create', '--user', 'ada', '--runtime', 'bash');
  const { out: made } = await citb('checkpoint', 'ada', 'before the migration', '--no-memory');
  assert.match(made, /^ckp_\w{12}$/);
  const taskId = 'task_00000000000000000001';
  const auto = services.checkpoints.add(box, { kind: 'auto', memory: false, task_id: taskId });
  const list = await citb('checkpoints', 'ada');
  assert.match(list.out, /manual .* no +before the migration/);
  assert.match(list.out, new RegExp(`auto .* before ${taskId}`));

  assert.equal((await citb('rollback', 'ada', made)).code, 0);
  assert.equal((await citb('rollback', 'ada', '--task', taskId)).code, 0);
  assert.deepEqual(services.checkpoints.restored, [made, auto.id]);
  assert.equal((await citb('rollback', 'ada')).code, 2);
  assert.match((await citb('rollback', 'ada', '--task', 'task_00000000000000000002')).err, /no checkpoint from before/);
  assert.equal((await citb('rollback', 'ada', 'ckp_zzzzzzzzzzzz')).code, 3);
  assert.equal((await citb('checkpoints', 'ada', '--delete', made)).code, 0);
  assert.equal((await citb('checkpoints', 'ada', '--json')).out.split('\n').length, 1);

  const fork = await citb('fork', 'ada', '--user', 'bob', '--json');
  assert.equal((JSON.parse(fork.out) as { user_id: string }).user_id, 'bob');

  const file = join(folder, 'ada.citb');
  assert.equal((await citb('export', 'ada', file)).code, 0);
  assert.equal(await readFile(file, 'utf8'), 'box bash\n');
  assert.equal((await citb('export', 'ada', '-')).out, 'box bash');
  const back = await citb('import', file, '--user', 'eve', '--json');
  assert.equal((JSON.parse(back.out) as { user_id: string }).user_id, 'eve');
  await writeFile(file, 'noise');
  const damaged = await citb('import', file);
  assert.equal(damaged.code, 2);
  assert.match(damaged.err, /not an intact exported box/);
});
