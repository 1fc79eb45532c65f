import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { z } from 'zod';

const dataDir = mkdtempSync(join(tmpdir(), 'citb-killed-'));
/** By pid, so that several runs of this suite at once do not meet. */
const net = `127.${96 + (process.pid & 31)}.${(process.pid >> 5) & 255}`;
const children = new Set<ChildProcess>();

function daemon(mode: 'work' | 'sleep' | 'check' | 'wake' | 'end'): ChildProcess {
  const program = new URL('killed-daemon.double.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, dataDir, net, mode], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  child.on('exit', () => children.delete(child));
  return child;
}

async function* lines(child: ChildProcess): AsyncGenerator {
  if (child.stdout === null) throw new Error('the child has no stdout');
  for await (const line of createInterface(child.stdout)) yield JSON.parse(line);
}

const act = z.object({
  made: z.string().optional(),
  pid: z.number().optional(),
  killing: z.string().optional(),
  killed: z.string().optional(),
  awake: z.string().optional(),
  word: z.string().optional(),
});
const found = z.object({
  boxes: z.array(z.object({ id: z.string(), state: z.string(), pid: z.number().nullable(), awake: z.boolean() })),
  words: z.record(z.string(), z.string()),
  pids: z.array(z.number()),
  folders: z.array(z.string()),
});

async function report(mode: 'check' | 'wake' | 'end'): Promise<z.output<typeof found>> {
  for await (const line of lines(daemon(mode))) return found.parse(line);
  throw new Error('the daemon said nothing');
}

after(async () => {
  for (const child of children) child.kill('SIGKILL');
  await report('end');
  rmSync(dataDir, { recursive: true, force: true });
});

test(
  'a real daemon killed with -9 at any moment: what was told is true for the next one, and nothing else is left',
  { timeout: 600_000 },
  async () => {
    /** Boxes that somebody was told of, with the process of their machine. */
    const told = new Map<string, number>();
    for (let round = 1; round <= 4; round += 1) {
      const worker = daemon('work');
      const exited = once(worker, 'exit');
      // The moment: some lines in, and then at any time within what a boot takes.
      let left = round;
      for await (const line of lines(worker)) {
        const { made, pid, killing, killed } = act.parse(line);
        if (made !== undefined && pid !== undefined) told.set(made, pid);
        const gone = killing ?? killed;
        if (gone !== undefined) told.delete(gone);
        left -= 1;
        if (left === 0) setTimeout(() => worker.kill('SIGKILL'), Math.random() * 800);
      }
      assert.deepEqual(await exited, [null, 'SIGKILL']);
      const { boxes, pids, folders } = await report('check');
      for (const [id, pid] of told) assert.equal(boxes.find((box) => box.id === id)?.pid, pid, `the box ${id} goes on in its machine`);
      for (const box of boxes) assert.deepEqual([box.state, box.awake], ['running', true]);
      assert.deepEqual(new Set(pids), new Set(boxes.map((box) => box.pid)), 'machines are those of boxes');
      assert.deepEqual(new Set(folders), new Set(boxes.map((box) => box.id)), 'folders are those of boxes');
    }
  },
);

test('a real daemon killed with -9 while it pauses and wakes a box: what was in memory is there', { timeout: 600_000 }, async () => {
  let id = '';
  let known: string | undefined;
  for (let round = 1; round <= 6; round += 1) {
    const worker = daemon('sleep');
    const exited = once(worker, 'exit');
    let left = 2;
    for await (const line of lines(worker)) {
      const { awake, word } = act.parse(line);
      if (awake !== undefined && word !== undefined) {
        id = awake;
        known ??= word;
      }
      left -= 1;
      if (left === 0) setTimeout(() => worker.kill('SIGKILL'), Math.random() * 400);
    }
    assert.deepEqual(await exited, [null, 'SIGKILL']);
    const { boxes, words, pids } = await report('wake');
    assert.notEqual(known, undefined);
    assert.equal(words[id], known, 'what was in memory');
    assert.equal(boxes.find((box) => box.id === id)?.state, 'running');
    assert.deepEqual(new Set(pids), new Set(boxes.map((box) => box.pid)), 'machines are those of boxes');
  }
});
