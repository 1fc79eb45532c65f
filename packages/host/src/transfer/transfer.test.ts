import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { suite, test } from 'node:test';
import type { Task, TaskEvent } from '@citb/api';
import { boxesFolder, boxPaths } from '../boxes/names.ts';
import { Testbed } from '../boxes/testbed.ts';
import { type CheckpointDaemon, checkpointDaemon } from '../checkpoints/testbed.ts';
import { createTaskArchive } from '../tasks/archive.ts';
import { ArchiveWriter } from './archive-writer.ts';
import { createTransfer, type TransferModule } from './transfer.ts';
import { chunksOf, usedRanges } from './used-ranges.ts';

const code = (expected: string) => ({ name: 'ApiError', code: expected });
const never = new AbortController().signal;
const mib = 1024 * 1024;

interface Room extends CheckpointDaemon, Pick<TransferModule, 'transfer' | 'recover' | 'prune'> {
  readonly bed: Testbed;
}

function room(bed: Testbed, limits = {}): Room {
  const it = checkpointDaemon(bed, {}, limits);
  return { ...it, ...createTransfer(it.parts), bed };
}

/** A box with a sparse disk of 64 MiB and a task; and its exported form. */
async function exported({
  bed,
  daemon,
  transfer,
}: Room): Promise<{ id: string; disk: Buffer; file: Buffer; sha256: string; export: string }> {
  const { box } = await daemon.boxes.create({
    userId: 'ada',
    runtime: 'bash',
    envVars: { SECRET: 'hidden', ANTHROPIC_API_KEY: 'sk-x' },
    diskMib: 64,
  });
  const path = boxPaths(bed.dataDir, box.id).disk;
  truncateSync(path, 64 * mib);
  const fd = openSync(path, 'r+');
  for (const at of [0, 5 * mib + 123, 40 * mib - 10, 64 * mib - 4096]) writeSync(fd, randomBytes(4096), 0, 4096, at);
  const archive = createTaskArchive(bed.store);
  const staged = archive.stage();
  staged.addTask(task('task_0000000000000000000a', 'done'));
  staged.addEvent('task_0000000000000000000a', completion);
  staged.addTask({ ...task('task_0000000000000000000b', 'running'), ended: null, outcome: null });
  staged.giveTo(box.id);
  const prepared = await transfer.prepare(box.id);
  const file = await buffer((await transfer.read(prepared.id, undefined)).body);
  return { id: box.id, disk: readFileSync(path), file, sha256: prepared.sha256, export: prepared.id };
}

function task(id: string, state: Task['state']): Task {
  const at = '2026-01-02T03:04:05.000Z';
  const shown = { conversation: 'main', prompt: 'Do it', created: at, started: at, ended: at };
  return { id, box_id: 'other', state, ...shown, last_seq: 1, outcome: 'done', result: 'Done.', usage: null };
}

const completion: TaskEvent = {
  seq: 1,
  ts: '2026-01-02T03:04:05.000Z',
  type: 'completion',
  content: 'Done.',
  outcome: 'done',
  stop_reason: null,
};

const arrive = (it: Room, file: Buffer, more: { id?: string; userId?: string } = {}) =>
  it.transfer.import(Readable.from([file]), { ...more, signal: never });

suite('export and import', () => {
  test('a box arrives as it was, stopped: disk, tasks and events; not its secrets', async () => {
    using bed = new Testbed();
    const it = room(bed);
    const sent = await exported(it);
    assert.equal(createHash('sha256').update(sent.file).digest('hex'), sent.sha256);
    assert.ok(sent.file.length < mib, `${sent.file.length} bytes for 16 KiB of content`);
    for (const secret of ['hidden', 'SECRET', 'sk-x', it.daemon.rows.secrets(sent.id).accessToken])
      assert.ok(!sent.file.includes(secret), secret);
    assert.ok(!bed.machine((await it.daemon.boxes.get(sent.id)).run_id ?? '').paused);
    await it.daemon.boxes.kill(sent.id);
    // As the tasks do with those of a box that is gone.
    bed.store.db.prepare('DELETE FROM tasks WHERE box_id = ?').run(sent.id);

    const box = await arrive(it, sent.file, { id: 'back', userId: 'ada' });
    assert.deepEqual([box.id, box.state, box.user_id, box.runtime, box.disk_mib], ['back', 'stopped', 'ada', 'bash', 64]);
    const { disk } = boxPaths(bed.dataDir, 'back');
    assert.ok(readFileSync(disk).equals(sent.disk));
    assert.ok(statSync(disk).blocks * 512 < 2 * mib, 'it is sparse again');
    assert.equal(statSync(disk).mode & 0o777, 0o600);
    assert.deepEqual(it.daemon.rows.secrets('back').envVars, {});
    const tasks = [...createTaskArchive(bed.store).tasksOf('back')];
    assert.deepEqual(
      tasks.map(({ id, state, last_seq }) => [id, state, last_seq]),
      [
        ['task_0000000000000000000a', 'done', 1],
        ['task_0000000000000000000b', 'interrupted', 0],
      ],
    );
    assert.deepEqual([...createTaskArchive(bed.store).eventsOf('back')], [{ task: 'task_0000000000000000000a', event: completion }]);
    bed.steps.length = 0;
    assert.equal((await it.daemon.access.awake('back')).id, 'back');
    assert.ok(bed.steps.includes('boot'));
    assert.deepEqual(readdirSync(join(bed.dataDir, 'imports')), []);
  });

  test('beside the box it was, with ids of its own', async () => {
    using bed = new Testbed();
    const it = room(bed);
    const sent = await exported(it);
    await assert.rejects(arrive(it, sent.file, { userId: 'ada' }), code('box_exists'));
    await assert.rejects(arrive(it, sent.file, { id: sent.id }), code('box_exists'));
    const box = await arrive(it, sent.file);
    const archive = createTaskArchive(bed.store);
    const [here, there] = [[...archive.tasksOf(sent.id)], [...archive.tasksOf(box.id)]];
    assert.equal(there.length, 2);
    assert.equal(new Set([...here, ...there].map(({ id }) => id)).size, 4);
    assert.equal([...archive.eventsOf(box.id)][0]?.task, there[0]?.id);
  });

  test('any byte that differs, any part that is missing: refused, and nothing is left', async () => {
    using bed = new Testbed();
    const it = room(bed);
    const { file } = await exported(it);
    const boxes = it.daemon.rows.count();
    for (let at = 700; at < file.length; at += Math.floor(file.length / 23)) {
      const damaged = Buffer.from(file);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      const outcome = await arrive(it, damaged).then(
        () => 'taken',
        (error: { code?: string }) => error.code,
      );
      // What lies between entries says nothing, so it may differ.
      if (outcome === 'taken') assert.ok(file.subarray(at - (at % 512), at - (at % 512) + 512).includes(0), `byte ${at}`);
      else assert.equal(outcome, 'import_invalid');
    }
    for (const cut of [0, 100, 512, 2000, file.length - 1024 - 512, file.length - 1600])
      await assert.rejects(arrive(it, file.subarray(0, cut)), code('import_invalid'), `cut at ${cut}`);
    await assert.rejects(arrive(it, randomBytes(5000)), code('import_invalid'));
    const left = it.daemon.rows.all().filter(({ userId }) => userId === null).length;
    assert.equal(readdirSync(boxesFolder(bed.dataDir)).length, boxes + left);
    assert.deepEqual(readdirSync(join(bed.dataDir, 'imports')), []);
    assert.equal(bed.store.db.prepare(`SELECT count(*) AS n FROM tasks WHERE box_id LIKE 'import:%'`).get()?.['n'], 0);
  });

  test('what a stranger packs is bounded, and is told why not', async () => {
    using bed = new Testbed();
    const it = room(bed);
    const box = {
      id: 'b',
      user_id: null,
      runtime: 'bash',
      agent: false,
      labels: {},
      disk_mib: 64,
      memory_mib: 256,
      cpus: 1,
      created: completion.ts,
    };
    const about = { format: 'citb-box', version: 1, created: completion.ts, box, image_key: '', disk: { size_bytes: mib } };
    const zeros = Buffer.alloc(mib);
    const hash = createHash('sha256').update(zeros).digest('hex');
    const piece = (at: number, bytes = mib): string => `disk/${String(at).padStart(15, '0')}-${bytes}-${hash}.zst`;
    const cases: [string, unknown, [string, Buffer][], string][] = [
      ['a newer version', { format: 'citb-box', version: 2, new: 'form' }, [], 'import_version'],
      ['another format', { ...about, format: 'zip' }, [], 'import_invalid'],
      ['an unknown runtime', { ...about, box: { ...box, runtime: 'cobol' } }, [], 'unknown_runtime'],
      ['a disk larger than it says', { ...about, disk: { size_bytes: 1e15 } }, [], 'import_invalid'],
      ['bytes after the end of the disk', about, [[piece(4096), zeros]], 'import_invalid'],
      [
        'a piece twice',
        about,
        [
          [piece(0), zeros],
          [piece(0), zeros],
        ],
        'import_invalid',
      ],
      ['more than it says', about, [[piece(0, 4096), zeros]], 'import_invalid'],
      ['a bomb', about, [[piece(0), Buffer.alloc(14 * mib)]], 'import_invalid'],
      ['a way out', about, [['../../etc/passwd', zeros]], 'import_invalid'],
      ['no task', about, [['tasks/000000.ndjson.zst', Buffer.from('{"id":1}\n')]], 'import_invalid'],
    ];
    mkdirSync(join(bed.dataDir, 'made'), { recursive: true });
    for (const [what, manifest, entries, expected] of cases) {
      const path = join(bed.dataDir, 'made', `${what}.citb`);
      const writer = new ArchiveWriter(path);
      await writer.add('manifest.json', Buffer.from(JSON.stringify(manifest)));
      for (const [name, content] of entries) await writer.addCompressed(name, content);
      await writer.end();
      await assert.rejects(arrive(it, readFileSync(path)), code(expected), what);
    }
    assert.equal(it.daemon.rows.count(), 0);
  });

  test('a prepared export is read in parts, outlives box and daemon, and goes when it is old', async () => {
    using bed = new Testbed();
    const it = room(bed);
    const sent = await exported(it);
    const once = await it.transfer.prepare(sent.id, true);
    await it.daemon.boxes.kill(sent.id);
    mkdirSync(join(bed.dataDir, 'exports', 'exp_000000000000.new'));
    writeFileSync(join(bed.dataDir, 'exports', 'exp_000000000001.citb'), 'half');
    const next = room(bed);
    await next.recover();
    await assert.rejects(next.transfer.read(once.id, undefined), code('export_not_found'), 'one for an answer goes with its daemon');
    assert.equal(readdirSync(join(bed.dataDir, 'exports')).length, 2);
    const part = await next.transfer.read(sent.export, 'bytes=100-199');
    assert.deepEqual([part.status, part.size, part.contentRange], [206, 100, `bytes 100-199/${sent.file.length}`]);
    assert.ok((await buffer(part.body)).equals(sent.file.subarray(100, 200)));
    await assert.rejects(next.transfer.read(sent.export, `bytes=${sent.file.length}-`), code('range_not_satisfiable'));
    bed.now += 25 * 3600 * 1000;
    await next.prune();
    await assert.rejects(next.transfer.read(sent.export, undefined), code('export_not_found'));
    assert.ok(!existsSync(join(bed.dataDir, 'exports', `${sent.export}.citb`)));
  });

  test('no room: refused before and while it is read', async () => {
    using bed = new Testbed();
    const it = room(bed);
    const { file, id } = await exported(it);
    const full = room(bed, { diskReserveMib: 1e9 });
    await full.daemon.reconcile();
    await assert.rejects(arrive(full, file), code('host_disk_full'));
    await assert.rejects(full.transfer.prepare(id), code('host_disk_full'));
    assert.equal(readdirSync(join(bed.dataDir, 'exports')).filter((name) => name.endsWith('.new')).length, 0);
    const usage = await full.transfer.usage({ userId: 'ada' });
    assert.deepEqual([usage.boxes.length, usage.boxes[0]?.box_id], [1, id]);
    assert.ok((usage.boxes[0]?.disk_bytes ?? 0) >= 16_384 && usage.total_bytes >= 16_384);
    assert.equal((await full.transfer.usage({ userId: 'bob' })).boxes.length, 0);
  });
});

suite('where a disk is used', () => {
  test('only what was written is read, also of a disk of a TiB', async () => {
    using bed = new Testbed();
    const path = join(bed.dataDir, 'huge.img');
    const size = 1024 * 1024 * mib;
    execFileSync('truncate', ['-s', String(size), path]);
    const fd = openSync(path, 'r+');
    writeSync(fd, Buffer.from('here'), 0, 4, 700 * 1024 * mib);
    const ranges = await usedRanges(path, size);
    const chunks = [...chunksOf(ranges, 4 * mib, size)];
    assert.ok(chunks.some(({ start, end }) => start <= 700 * 1024 * mib && 700 * 1024 * mib < end));
    assert.ok(chunks.length <= 2, `${chunks.length} chunks`);
  });

  test('chunks cover ranges once, in order, within the file', () => {
    const chunks = [
      ...chunksOf(
        [
          { start: 1, end: 3 },
          { start: 3, end: 12 },
          { start: 25, end: 30 },
        ],
        4,
        29,
      ),
    ];
    assert.deepEqual(
      chunks.map(({ start, end }) => [start, end]),
      [
        [0, 4],
        [4, 8],
        [8, 12],
        [24, 28],
        [28, 29],
      ],
    );
  });
});
