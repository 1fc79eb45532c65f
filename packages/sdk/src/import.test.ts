import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { createServicesDouble, startServer } from '@citb/testkit/services/index.ts';
import { Citb } from './index.ts';

const apiKey = 'key-of-the-import-tests';
const mib = 1024 * 1024;

/** Passes connections on; the first `cuts` of them break after so many bytes of what is sent. */
async function breaking(target: string, bytes: number, cuts: number): Promise<AsyncDisposable & { url: string; cut: () => number }> {
  const { hostname, port } = new URL(target);
  const open = new Set<Socket>();
  let cut = 0;
  const proxy = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on('error', () => undefined);
    }
    let passed = 0;
    client.on('data', (chunk: Buffer) => {
      passed += chunk.length;
      if (passed <= bytes || cut >= cuts) {
        upstream.write(chunk);
        return;
      }
      cut += 1;
      client.destroy();
      upstream.destroy();
    });
    client.on('close', () => upstream.destroy());
    upstream.pipe(client);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    cut: () => cut,
    [Symbol.asyncDispose]: async () => {
      proxy.close();
      for (const socket of open) socket.destroy();
    },
  };
}

test('an import over a connection that breaks again and again goes on where it stopped; what is refused is not tried again', async () => {
  await using services = await createServicesDouble();
  await using server = await startServer(services, { apiKey });
  await using proxy = await breaking(server.url, 3 * mib, 4);
  await using citb = new Citb({ url: proxy.url, apiKey });
  const file = randomBytes(20 * mib + 17);
  const whole = services.transfer.import.bind(services.transfer);
  services.transfer.import = async (body, request) => {
    assert.ok((await buffer(body)).equals(file));
    return await whole(Readable.from(['box bash\n']), request);
  };
  const causes: string[] = [];
  // A stream cannot be read again: what is not yet safe is held.
  const box = await citb.boxes.import(Readable.from(chunks(file)), {
    userId: 'ada',
    env: { COLOUR: 'red' },
    onReconnect: ({ message }) => void causes.push(message),
  });
  assert.deepEqual([box.info.user_id, services.boxes.lastRequest?.envVars], ['ada', { COLOUR: 'red' }]);
  assert.equal(proxy.cut(), 4);
  assert.ok(causes.length >= 4, causes.join());

  services.transfer.import = whole;
  await assert.rejects(citb.boxes.import(Buffer.from('noise')), { code: 'import_invalid' });
  assert.equal([...services.transfer.arriving.values()].filter((bytes) => bytes.toString() === 'noise').length, 0, 'nothing is left of it');
  await assert.rejects(citb.boxes.import(Readable.from(broken())), /the file cannot be read/);
});

function* chunks(file: Buffer): Generator<Buffer> {
  for (let at = 0; at < file.length; at += 100_000) yield file.subarray(at, at + 100_000);
}

function* broken(): Generator<Buffer> {
  yield Buffer.from('box ');
  throw new Error('the file cannot be read');
}
