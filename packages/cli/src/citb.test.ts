import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, suite, test } from 'node:test';
import type { TaskEvent } from '@citb/api';
import type { ServicesDouble } from '@citb/testkit/services/index.ts';
import { Testbed, program } from './testbed.ts';

let bed: Testbed;
let folder: string;
let services: ServicesDouble;
let citb: Testbed['citb'];

before(async () => {
  bed = await Testbed.create();
  ({ folder, services, citb } = bed);
});
after(async () => {
  await bed[Symbol.asyncDispose]();
});

async function coloured(args: string[], env: Record<string, string>): Promise<boolean> {
  return (await citb(args, { env })).out.includes('\u001b[');
}

suite('boxes', () => {
  test('create prints the id alone, and for the same user the same one', async () => {
    const made = await citb(['create', '--user', 'maker', '--label', 'a=b', '--env', 'SECRET'], { env: { SECRET: 'x' } });
    assert.match(made.out, /^box_\w+\n$/);
    assert.deepEqual(await citb(['create', '--user', 'maker']), made);
    const { out } = await citb(['ls', '--label', 'a=b', '--json']);
    const listed = JSON.parse(out) as { user_id: string; usage: { total_bytes: number } };
    assert.deepEqual([listed.user_id, listed.usage.total_bytes], ['maker', 4096]);
    assert.match((await citb(['ls', '--label', 'a=b'])).out, /4\.0 KiB \/ 5 GiB/);
  });

  test('a box is found by id, by user:NAME and by the plain user', async () => {
    const { out: id } = await citb(['create', '--user', 'finder']);
    for (const name of [id.trim(), 'user:finder', 'finder']) assert.equal((await citb(['ps', name])).code, 0, name);
    const missing = await citb(['ps', 'nobody']);
    assert.equal(missing.code, 3);
    assert.match(missing.err, /^citb: There is no box "nobody"\.\n {2}`citb ls` shows/);
  });

  test('a name that is one box by id and another by user is not guessed', async () => {
    await citb(['create', '--id', 'twice']);
    await citb(['create', '--user', 'twice']);
    const { code, err } = await citb(['ps', 'twice']);
    assert.equal(code, 2);
    assert.match(err, /user:twice/);
  });

  test('kill takes several, and all only when it is sure', async () => {
    await citb(['create', '--user', 'k1']);
    await citb(['create', '--user', 'k2']);
    assert.equal((await citb(['kill', 'k1', 'k2'])).code, 0);
    assert.equal((await citb(['ps', 'k1'])).code, 3);
    assert.equal((await citb(['kill', '--all'])).code, 2);
    assert.equal((await citb(['kill'])).code, 2);
  });
});

suite('tasks', () => {
  before(async () => void (await citb(['create', '--user', 'tasker'])));

  test('a task is shown readably, each text once', async () => {
    const { code, out } = await citb(['task', 'tasker', 'Write hello.py']);
    assert.equal(code, 0);
    assert.equal(
      out,
      [
        '✻ A small program will do.',
        'I will write hello.py.',
        '● Write hello.py',
        '  └ File created',
        'hello.py is written.',
        '✔ done · 5 ms · 2 turns · 100 tokens in, 20 out · $0.0010\n',
      ].join('\n'),
    );
  });

  test('--json prints the events as they came', async () => {
    const { out } = await citb(['task', 'tasker', '--json', 'Write hello.py']);
    const events = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as TaskEvent);
    assert.deepEqual(
      events.map((event) => event.seq),
      events.map((_, index) => index + 1),
    );
    assert.equal(events.at(-1)?.type, 'completion');
  });

  test('--detach prints the id, --follow shows all of it; files and stdin go in', async () => {
    await writeFile(join(folder, 'in.txt'), 'content');
    const { out: id } = await citb(['task', 'tasker', '--detach', '--file', 'in.txt:deep/in.txt'], { stdin: 'from stdin' });
    assert.equal(services.tasks.lastRequest?.prompt, 'from stdin');
    const { code, out } = await citb(['task', 'tasker', '--follow', id.trim()]);
    assert.deepEqual([code, out.includes('hello.py is written.')], [0, true]);
    assert.equal((await citb(['cp', 'tasker:deep/in.txt', '-'])).out, 'content');
  });

  test('the first Ctrl-C interrupts the task, exit code 6', async () => {
    let sent = false;
    const { code, err } = await bed.citbProcess(['task', 'tasker', 'Please ask me'], (out, kill) => {
      if (!sent && out.includes('Which greeting?')) kill('SIGINT');
      sent ||= out.includes('Which greeting?');
    });
    assert.equal(code, 6);
    assert.match(err, /The agent waits for an answer: POST \/v1\/boxes/);
  });

  test('Ctrl-C while following only stops the watching', async () => {
    const { out } = await citb(['task', 'tasker', '--detach', 'Please ask me']);
    const id = out.trim();
    let sent = false;
    const { code, err } = await bed.citbProcess(['task', 'tasker', '--follow', id], (seen, kill) => {
      if (!sent && seen.includes('Which greeting?')) kill('SIGINT');
      sent ||= seen.includes('Which greeting?');
    });
    assert.equal(code, 130);
    assert.match(err, new RegExp(`--follow ${id}`));
    const box = await services.boxes.byUser('tasker');
    assert.equal((await services.tasks.get(box.id, id)).state, 'running');
    await services.tasks.cancel(box.id, id);
  });

  test('a failed task ends with 5, and says why once', async () => {
    const script = services.tasks.script;
    services.tasks.script = async function* () {
      yield { type: 'error', content: { code: 'api_error', message: 'The model refused.' } };
      yield { type: 'completion', content: 'The model refused.', outcome: 'failed', stop_reason: null };
    };
    const { code, out } = await citb(['task', 'tasker', 'x']);
    services.tasks.script = script;
    assert.equal(code, 5);
    assert.equal(out, '✖ The model refused.\n✖ failed\n');
  });
});

suite('exec', () => {
  before(async () => void (await citb(['create', '--user', 'runner', '--runtime', 'bash'])));

  test('streams and exit code pass through', async () => {
    assert.deepEqual(await citb(['exec', 'runner', '--', 'sh', '-c', 'cat; echo err >&2; exit 4'], { stdin: 'in' }), {
      code: 4,
      out: 'in',
      err: 'err\n',
    });
    assert.equal((await citb(['exec', 'runner', 'echo a | wc -c'])).out.trim(), '2');
    assert.equal((await citb(['exec', 'runner', 'sh', '-c', 'kill -TERM $$'])).code, 143);
    assert.equal((await citb(['exec', '--timeout', '0.2', 'runner', 'sleep', '60'])).code, 124);
  });
});

suite('the program', () => {
  test('failures are a sentence and what to do, without a stack trace', async () => {
    const down = await citb(['ls'], { env: { CITB_URL: 'http://127.0.0.1:1' } });
    assert.equal(down.code, 4);
    assert.match(down.err, /^citb: There is no connection .*refused\)\.\n {2}Start the host/);
    assert.doesNotMatch(down.err, /\n\s+at /);
    const refused = await citb(['ls'], { env: { CITB_API_KEY: 'wrong' } });
    assert.equal(refused.code, 1);
    assert.match(refused.err, /CITB_API_KEY.*\n {2}request req_\S+ \(unauthorized\)/);
    assert.match((await citb(['ls'], { env: { CITB_URL: 'http://127.0.0.1:1', CITB_DEBUG: '1' } })).err, /\n\s+at /);
  });

  test('wrong use ends with 2, help and version with 0', async () => {
    for (const args of [
      ['create', '--memroy', '3'],
      ['create', '--memory', 'much'],
      ['nosuch'],
      ['cp', 'one'],
      ['--url', 'nonsense', 'ls'],
    ])
      assert.equal((await citb(args)).code, 2, args.join(' '));
    for (const args of [['--help'], ['--version'], ['help', 'cp'], ['task', '--help']])
      assert.equal((await citb(args)).code, 0, args.join(' '));
  });

  test('colours follow NO_COLOR, FORCE_COLOR and --no-color', async () => {
    assert.deepEqual(
      [
        await coloured(['ls'], {}),
        await coloured(['ls'], { FORCE_COLOR: '1' }),
        await coloured(['--no-color', 'ls'], { FORCE_COLOR: '1' }),
        await coloured(['ls'], { FORCE_COLOR: '1', NO_COLOR: '1' }),
      ],
      [false, true, false, false],
    );
  });

  test('the key file of the host on this machine is used, for a host on this machine', async () => {
    await mkdir(join(folder, 'data'), { recursive: true });
    await writeFile(join(folder, 'data/api-key'), `${bed.apiKey}\n`);
    assert.equal((await citb(['ls'], { env: { CITB_API_KEY: '' } })).code, 0);
    await writeFile(join(folder, 'data/host.json'), JSON.stringify({ url: bed.server.url, pid: process.pid }));
    assert.equal((await citb(['ls'], { env: { CITB_API_KEY: '', CITB_URL: '' } })).code, 0);
    await rm(join(folder, 'data'), { recursive: true });
  });

  test('doctor works without a host and with one', async () => {
    const without = await citb(['doctor', '--json'], { env: { CITB_URL: 'http://127.0.0.1:1' } });
    const findings = without.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { name: string; state: string });
    assert.deepEqual(
      findings.map(({ name }) => name),
      ['node', 'packages', 'accelerator', 'data', 'images', 'host', 'api key', 'model key'],
    );
    assert.equal(findings.find(({ name }) => name === 'host')?.state, 'warning');
    assert.match((await citb(['doctor'])).out, /✔ api key +from CITB_API_KEY, and the host takes it/);
    const wrong = await citb(['doctor'], { env: { CITB_API_KEY: 'wrong' } });
    assert.deepEqual([wrong.code, /✖ api key/.test(wrong.out)], [1, true]);
  });

  test('a reader that has enough ends citb quietly', async () => {
    const child = spawn('/bin/sh', ['-c', `"${process.execPath}" "${program}" --help | head -1`], {
      env: { PATH: process.env['PATH'] ?? '' },
    });
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
    assert.deepEqual([out, err], ['Usage: citb [options] [command]\n', '']);
  });

  test('the program is one that npx finds', async () => {
    assert.ok((await stat(program)).mode & 0o100);
  });
});
