import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { createAddresses } from './addresses.ts';

const none = new Set<string>();

/** A port that nothing else on this machine uses at the addresses of boxes, and a listener on one of them. */
async function occupied(address: string): Promise<{ port: number; [Symbol.asyncDispose](): Promise<void> }> {
  const server = createServer().listen(0, address);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}

/** The address after it. */
function next(address: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  return `${a}.${b}.${c}.${d + 1}`;
}

test('an address on which another process listens is passed over', async () => {
  const first = await createAddresses('/data').take(undefined, none);
  await using other = await occupied(first);
  const addresses = createAddresses('/data', [other.port]);
  assert.equal(await addresses.take(undefined, none), next(first));
  assert.equal(await addresses.take(first, none), next(first));
});

test('a preferred address is kept, one that another box has is not given twice', async () => {
  const addresses = createAddresses('/data');
  const first = await addresses.take(undefined, none);
  assert.equal(await addresses.take('127.64.3.7', none), '127.64.3.7');
  assert.equal(await addresses.take('127.64.3.7', new Set(['127.64.3.7'])), first);
  const [a, b, c, d = 0] = first.split('.').map(Number);
  const many = new Set(Array.from({ length: 256 - d }, (_, index) => `${a}.${b}.${c}.${d + index}`));
  const beyond = await addresses.take(undefined, many);
  assert.equal(many.has(beyond), false);
  assert.match(beyond, /^127\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./);
});

test('two data directories begin at different places', async () => {
  assert.notEqual(await createAddresses('/data').take(undefined, none), await createAddresses('/other').take(undefined, none));
});
