import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { Box, BoxEvent, ExecEvent, HostStatus } from '@citb/api';
import { completion, Daemon, lines, patience, until } from './harness.ts';

/** How many clones are compared with each other: `CITB_CLONES=50 npm test`. */
const clones = Number(process.env['CITB_CLONES'] ?? 6);

/** Prints, each on a line of its own, whatever must be another in each box. */
const identities = [
  'hostname',
  'cat /etc/machine-id',
  'cat /proc/sys/kernel/random/boot_id',
  'cat /proc/sys/kernel/random/uuid',
  'od -An -tx1 -N16 /dev/urandom',
  'mktemp -u XXXXXXXXXXXX',
].join(' && ');

suite('boxes are clones of a template', { timeout: 6 * patience }, () => {
  let daemon: Daemon;
  before(async () => {
    daemon = await Daemon.start({ CITB_TEMPLATES: '1', CITB_MEMORY_OVERSUBSCRIPTION: '4' });
  });
  after(async () => {
    await daemon[Symbol.asyncDispose]();
  });

  test('clones with an agent do their tasks, each in a session of its own', async () => {
    await ready({ runtime: 'claude-agent', memory_mib: 1024, disk_mib: 5120 });
    const sessions = new Set<string>();
    for (const user of ['ada', 'grace']) {
      await daemon.create(user);
      const done = completion(await daemon.task(user, 'Create a Python script that prints hello world'));
      assert.equal(done.outcome, 'done');
      sessions.add(String(done.session_id));
    }
    assert.equal(sessions.size, 2);
  });

  test(`${clones} clones have nothing in common that could be a secret or an id`, async () => {
    assert.equal(await howOf(await create({ id: 'first', runtime: 'bash' })), 'boot');
    await ready({ runtime: 'bash', memory_mib: 256, disk_mib: 5120 });
    const boxes = await Promise.all(Array.from({ length: clones }, (_, index) => create({ id: `clone-${index}`, runtime: 'bash' })));
    const printed = await Promise.all(
      boxes.map(async (box) => {
        assert.equal(await howOf(box), 'template');
        const { stdout } = await exec(box.id, identities);
        const values = stdout.trim().split('\n');
        assert.equal(values.length, 6, stdout);
        await daemon.call('POST', `/v1/boxes/${box.id}/kill`);
        return values;
      }),
    );
    for (let index = 0; index < 6; index += 1)
      assert.equal(new Set(printed.map((values) => values[index])).size, clones, `line ${index} of each is its own`);
  });

  test('a clone has the time, its name, its environment and its own files', async () => {
    const secret = randomBytes(8).toString('hex');
    const box = await create({ id: 'named', runtime: 'bash', env_vars: { SECRET: secret } });
    const { stdout } = await exec(box.id, 'echo $SECRET; hostname; date +%s; ls -A /workspace | wc -l');
    const [value, name, seconds, files] = stdout.trim().split('\n');
    assert.deepEqual([value, name, files], [secret, 'named', '0']);
    assert.ok(Math.abs(Number(seconds) - Date.now() / 1000) < 30, `${seconds} is the time`);
    await exec(box.id, 'echo mine > file');
    const other = await create({ id: 'other', runtime: 'bash' });
    assert.equal((await exec(other.id, 'ls file 2>/dev/null | wc -l')).stdout.trim(), '0');
  });

  test('another size is what was asked for, and has a template of its own afterwards', async () => {
    const shape = { runtime: 'bash', memory_mib: 320, disk_mib: 200 };
    assert.equal(await howOf(await create({ id: 'large-1', ...shape })), 'boot');
    await ready(shape);
    const box = await create({ id: 'large-2', ...shape });
    assert.equal(await howOf(box), 'template');
    const { stdout } = await exec(
      box.id,
      `awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo; df -m /workspace | awk 'END { print $4 }'`,
    );
    const [memory = 0, disk = 0] = stdout.trim().split('\n').map(Number);
    assert.ok(memory > 256 && memory <= 320, `${memory} MiB of memory`);
    assert.ok(disk >= 190 && disk < 260, `${disk} MiB of disk`);
  });

  test('a template that is damaged is not trusted: the box boots', async () => {
    const folder = join(daemon.dataDir, 'templates');
    for (const name of await readdir(folder)) await truncate(join(folder, name, 'machine', 'state'), 100);
    assert.equal(await howOf(await create({ id: 'after-damage', runtime: 'bash' })), 'boot');
  });

  const create = (body: object): Promise<Box> => daemon.json<Box>('POST', '/v1/boxes', body);

  /** How the machine of a box came up at first. */
  async function howOf(box: Box): Promise<unknown> {
    for await (const event of lines<BoxEvent>(await daemon.call('GET', `/v1/boxes/${box.id}/events`)))
      if (event.type === 'running') return (event.content as { how?: unknown }).how;
    return undefined;
  }

  async function exec(id: string, command: string): Promise<{ stdout: string }> {
    let stdout = '';
    for await (const event of lines<ExecEvent>(await daemon.call('POST', `/v1/boxes/${id}/exec`, { command }))) {
      if (event.type === 'stdout') stdout += event.data;
      if (event.type === 'exit') assert.equal(event.exit_code, 0, stdout);
    }
    return { stdout };
  }

  function ready(shape: { runtime: string; memory_mib: number; disk_mib: number }): Promise<unknown> {
    const is = (template: HostStatus['templates'][number]): boolean =>
      template.state === 'ready' && Object.entries(shape).every(([name, value]) => template[name as keyof typeof template] === value);
    return until(`the template of ${JSON.stringify(shape)}`, async () =>
      (await daemon.json<HostStatus>('GET', '/status')).templates.some(is),
    );
  }
});
