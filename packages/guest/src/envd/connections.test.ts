import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { suite, test } from 'node:test';
import { promisify } from 'node:util';
import { isRoot } from './testbed.ts';

/** Resets what is open to a port of loopback, in a Node that has foreign functions, as envd's has. */
async function reset(port: number): Promise<number> {
  const script = `import { resetConnections } from ${JSON.stringify(new URL('connections.ts', import.meta.url).href)};
    console.log(await resetConnections({ address: '127.0.0.1', port: ${port} }));`;
  const flags = ['--experimental-ffi', '--disable-warning=ExperimentalWarning', '--input-type=module'];
  return Number((await promisify(execFile)(process.execPath, [...flags, '-e', script])).stdout);
}

/** A program that connects and waits for an answer that never comes. */
function waiter(port: number, host: string): { connected: Promise<unknown>; said: Promise<string> } {
  const script = `const socket = require('node:net').connect(${port}, '${host}', () => console.error('connected'));
    socket.on('error', ({ code }) => console.log(code)).on('close', () => process.exit());`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'pipe'] });
  return { connected: once(child.stderr, 'data'), said: text(child.stdout) };
}

suite('connections of a restored machine', { skip: !isRoot && 'needs root, as envd has' }, () => {
  test('a program that waits for an answer of the peer is told at once; connections to others stay', async () => {
    await using stack = new AsyncDisposableStack();
    const [broker, other] = [createServer(), createServer()];
    for (const server of [broker, other]) {
      server.on('connection', (socket) => {
        socket.on('error', () => undefined);
        stack.defer(() => void socket.destroy());
      });
      server.listen(0, '::');
      await once(server, 'listening');
      stack.defer(() => void server.close());
    }
    const port = (broker.address() as AddressInfo).port;
    const both = [waiter(port, '127.0.0.1'), waiter(port, '::ffff:127.0.0.1')];
    const left = waiter((other.address() as AddressInfo).port, '127.0.0.1');
    await Promise.all([...both, left].map(({ connected }) => connected));
    assert.equal(await reset(port), 2);
    for (const { said } of both) assert.equal(await said, 'ECONNRESET\n');
    const still = Symbol('still open');
    assert.equal(await Promise.race([left.said, Promise.resolve(still)]), still);
    assert.equal(await reset(port), 0);
  });
});
