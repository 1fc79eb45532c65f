import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type ProcessEvent, Signal, type StreamInputRequestSchema } from '@citb/api/gen/process_pb.js';
import { Code, ConnectError } from '@connectrpc/connect';
import { type Testbed, isRoot, testbed } from '../testbed.ts';

type Message = { readonly event?: ProcessEvent | undefined };

interface Outcome {
  pid: number;
  stdout: string;
  stderr: string;
  pty: string;
  bytes: number;
  end: Record<string, unknown> | undefined;
}

async function collect(messages: AsyncIterable<Message>, seen?: (outcome: Outcome) => void): Promise<Outcome> {
  const outcome: Outcome = { pid: 0, stdout: '', stderr: '', pty: '', bytes: 0, end: undefined };
  for await (const { event } of messages) {
    const { event: inner } = event ?? {};
    if (inner?.case === 'start') outcome.pid = inner.value.pid;
    if (inner?.case === 'data' && inner.value.output.case !== undefined) {
      outcome.bytes += inner.value.output.value.length;
      if (outcome.bytes < 1_000_000) outcome[inner.value.output.case] += Buffer.from(inner.value.output.value).toString();
    }
    if (inner?.case === 'end') {
      const { exitCode, exited, status, error } = inner.value;
      outcome.end = { exitCode, exited, status, ...(error === undefined ? {} : { error }) };
    }
    seen?.(outcome);
  }
  return outcome;
}

function shell(bed: Testbed, script: string, more: object = {}): AsyncIterable<Message> {
  return bed.processes.start({ process: { cmd: '/bin/sh', args: ['-c', script] }, stdin: false, ...more });
}

function alive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

async function until(what: () => boolean): Promise<void> {
  for (let waited = 0; !what(); waited += 20) {
    assert.ok(waited < 20_000, String(what));
    await sleep(20);
  }
}

const by = (pid: number) => ({ selector: { case: 'pid' as const, value: pid } });

function failsWith(code: Code): (error: unknown) => boolean {
  return (error) => {
    assert.equal(ConnectError.from(error).code, code, String(error));
    return true;
  };
}

test('a command runs in the workspace as the user, with the environment of the box', async (t) => {
  const bed = await testbed(t);
  const { stdout, stderr, end } = await collect(shell(bed, 'echo "$PWD|$HOME|$USER|$FROM_INIT|$(id -u)|$(id -G)"; echo oops >&2; exit 3'));
  const uid = isRoot ? '1000|1000' : `${process.getuid?.()}|`;
  assert.ok(stdout.startsWith(`${bed.workspace}|${bed.home}|user|yes|${uid}`), stdout);
  assert.equal(stderr, 'oops\n');
  assert.deepEqual(end, { exitCode: 3, exited: true, status: 'exit status 3', error: 'exit status 3' });
});

test('the request chooses folder, environment and user', async (t) => {
  const bed = await testbed(t);
  const start = {
    process: { cmd: 'sh', args: ['-c', 'echo "$PWD $A $FROM_INIT $(id -un)"'], cwd: '/', envs: { A: '1', FROM_INIT: 'no' } },
    stdin: false,
  };
  const headers = { Authorization: `Basic ${Buffer.from('root:').toString('base64')}` };
  const { stdout } = await collect(bed.processes.start(start, isRoot ? { headers } : {}));
  assert.match(stdout, isRoot ? /^\/ 1 no root/ : /^\/ 1 no /);
  const nobody = { Authorization: `Basic ${Buffer.from('nobody-here:').toString('base64')}` };
  await assert.rejects(collect(bed.processes.start(start, { headers: nobody })), failsWith(Code.Unauthenticated));
});

test('what cannot be started is the caller’s mistake', async (t) => {
  const bed = await testbed(t);
  await assert.rejects(collect(bed.processes.start({ process: { cmd: '/no/such' } })), failsWith(Code.InvalidArgument));
  await assert.rejects(collect(bed.processes.start({ process: { cmd: 'sh', cwd: '/no/such' } })), failsWith(Code.InvalidArgument));
  await assert.rejects(collect(bed.processes.start({})), failsWith(Code.InvalidArgument));
  assert.deepEqual((await bed.processes.list({})).processes, []);
});

test('input is written in order and ended', async (t) => {
  const bed = await testbed(t);
  const sending = async (pid: number): Promise<void> => {
    await bed.processes.sendInput({ process: by(pid), input: { input: { case: 'stdin', value: Buffer.from('one ') } } });
    await bed.processes.streamInput(
      (async function* (): AsyncGenerator<MessageInitShape<typeof StreamInputRequestSchema>> {
        yield { event: { case: 'start', value: { process: by(pid) } } };
        yield { event: { case: 'keepalive', value: {} } };
        yield { event: { case: 'data', value: { input: { input: { case: 'stdin', value: Buffer.from('two') } } } } };
      })(),
    );
    await bed.processes.closeStdin({ process: by(pid) });
  };
  let sent: Promise<void> | undefined;
  const { stdout, end } = await collect(bed.processes.start({ process: { cmd: 'cat' } }), ({ pid }) => {
    sent ??= sending(pid);
  });
  await sent;
  assert.equal(stdout, 'one two');
  assert.equal(end?.['exitCode'], 0);
});

test('SIGKILL reaches all that a command started', async (t) => {
  const bed = await testbed(t);
  let killed: Promise<unknown> | undefined;
  const { end, stdout } = await collect(shell(bed, 'sleep 1000 & echo $!; setsid -f true; wait'), ({ pid, stdout: text }) => {
    if (text !== '') killed ??= bed.processes.sendSignal({ process: by(pid), signal: Signal.SIGKILL });
  });
  await killed;
  assert.deepEqual(end, { exitCode: -1, exited: false, status: 'signal: killed', error: 'signal: killed' });
  await until(() => !alive(Number(stdout)));
});

test('a process whose caller leaves runs on, and who connects gets its output and its end', async (t) => {
  const bed = await testbed(t);
  const left = new AbortController();
  let pid = 0;
  const script = 'echo early; while [ ! -e go ]; do sleep 0.05; done; echo late';
  const start = bed.processes.start({ process: { cmd: 'sh', args: ['-c', script] }, tag: 'job', stdin: false }, { signal: left.signal });
  await assert.rejects(
    collect(start, (outcome) => {
      pid = outcome.pid;
      if (outcome.stdout !== '') left.abort();
    }),
    failsWith(Code.Canceled),
  );
  const { processes } = await bed.processes.list({});
  assert.deepEqual(
    processes.map((each) => [each.pid, each.tag, each.config?.cmd]),
    [[pid, 'job', 'sh']],
  );
  const again = collect(bed.processes.connect({ process: { selector: { case: 'tag', value: 'job' } } }));
  await bed.request('/workspace/file?path=go', { method: 'PUT', body: '' });
  const first = await again;
  assert.deepEqual([first.pid, first.stdout, first.end?.['status']], [pid, 'early\nlate\n', 'exit status 0']);
  const later = await collect(bed.processes.connect({ process: by(pid) }));
  assert.deepEqual(later, first, 'also when it has ended');
  await assert.rejects(bed.processes.sendSignal({ process: by(pid), signal: Signal.SIGTERM }), failsWith(Code.NotFound));
  await assert.rejects(collect(bed.processes.connect({ process: by(4_000_000) })), failsWith(Code.NotFound));
});

test('a terminal has a size, takes input, and is resized', { timeout: 60_000 }, async (t) => {
  const bed = await testbed(t);
  const steps: Promise<unknown>[] = [];
  const type = (pid: number, text: string): Promise<unknown> =>
    bed.processes.sendInput({ process: by(pid), input: { input: { case: 'pty', value: Buffer.from(text) } } });
  const outcome = await collect(
    bed.processes.start({
      process: { cmd: 'sh', args: ['-c', 'stty size; read x; stty size; tty; exit 7'] },
      pty: { size: { cols: 100, rows: 40 } },
    }),
    ({ pid, pty }) => {
      if (pty.includes('40 100') && steps.length === 0) {
        steps.push(bed.processes.update({ process: by(pid), pty: { size: { cols: 120, rows: 50 } } }).then(() => type(pid, '\r')));
      }
    },
  );
  await Promise.all(steps);
  assert.match(outcome.pty, /40 100[\s\S]*50 120[\s\S]*\/dev\/pts\//);
  assert.equal(outcome.end?.['exitCode'], 7);
});

test('a reader that is slow holds the process, and gets everything', { timeout: 120_000 }, async (t) => {
  const bed = await testbed(t);
  const total = 16 * 1024 * 1024;
  const stream = shell(bed, `head -c ${total} /dev/zero; echo done >&2`)[Symbol.asyncIterator]();
  const start = await stream.next();
  assert.ok(start.done !== true);
  await sleep(500);
  const rest = await collect({ [Symbol.asyncIterator]: () => stream });
  assert.equal(rest.bytes, total + 5);
});

test('a flood that nobody reads holds the process, and it goes on when the caller leaves', { timeout: 60_000 }, async (t) => {
  const bed = await testbed(t);
  const left = new AbortController();
  const command = { cmd: 'sh', args: ['-c', 'head -c 30000000 /dev/zero; touch flooded'] };
  const stream = bed.processes.start({ process: command, stdin: false }, { signal: left.signal })[Symbol.asyncIterator]();
  await stream.next();
  await sleep(300);
  assert.equal(existsSync(join(bed.workspace, 'flooded')), false);
  left.abort();
  await until(() => existsSync(join(bed.workspace, 'flooded')));
});

test('a thousand small writes are gathered, and the last MiB is kept', async (t) => {
  const bed = await testbed(t);
  const { pid, bytes } = await collect(shell(bed, 'i=0; while [ $i -lt 1000 ]; do echo $i; i=$((i+1)); done; head -c 3000000 /dev/zero'));
  assert.equal(bytes, 3890 + 3_000_000);
  const kept = await collect(bed.processes.connect({ process: by(pid) }));
  assert.ok(kept.bytes <= 1024 * 1024 && kept.bytes > 512 * 1024, String(kept.bytes));
});

test('a quiet process sends keep-alives as often as the caller wants', async (t) => {
  const bed = await testbed(t);
  const start = { process: { cmd: 'sleep', args: ['2.5'] }, stdin: false };
  let alives = 0;
  for await (const { event } of bed.processes.start(start, { headers: { 'Keepalive-Ping-Interval': '1' } }))
    if (event?.event.case === 'keepalive') alives += 1;
  assert.ok(alives >= 1, String(alives));
});

test('a program left behind that keeps the output open does not hold up the end', async (t) => {
  const bed = await testbed(t);
  const { stdout, end } = await collect(shell(bed, 'sleep 300 & echo $!'));
  assert.equal(end?.['exitCode'], 0);
  process.kill(Number(stdout), 'SIGKILL');
});

test('a deadline of the caller kills the process', async (t) => {
  const bed = await testbed(t);
  let pid = 0;
  const start = bed.processes.start({ process: { cmd: 'sleep', args: ['300'] }, stdin: false }, { timeoutMs: 500 });
  await assert.rejects(
    collect(start, (outcome) => (pid = outcome.pid)),
    failsWith(Code.DeadlineExceeded),
  );
  await until(() => !alive(pid));
});

test('a script can open /dev/stdout and /dev/stderr, as from a shell', async (t) => {
  const bed = await testbed(t);
  const { stdout, stderr } = await collect(shell(bed, 'echo out >/dev/stdout; echo err >/dev/stderr'));
  assert.deepEqual([stdout, stderr], ['out\n', 'err\n']);
});

test('nothing is left open by a hundred processes', async (t) => {
  const bed = await testbed(t);
  await collect(shell(bed, 'true'));
  const before = readdirSync('/proc/self/fd').length;
  for (let round = 0; round < 10; round += 1) await Promise.all(Array.from({ length: 10 }, () => collect(shell(bed, 'echo hi'))));
  await until(() => readdirSync('/proc/self/fd').length <= before + 20);
});
