import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { agentCheckpointPath } from '@citb/api';
import { NativeAgent, completionOf, only, scenario, startScriptedModel } from '@citb/testkit';

test('the agent makes a checkpoint of its own box, and is told why not', { timeout: 120_000 }, async () => {
  const model = await startScriptedModel();
  const asked: string[] = [];
  // A broker: the checkpoint is its own, all else goes to the model.
  const broker = createServer((incoming, outgoing) => {
    void (async () => {
      if (incoming.url !== agentCheckpointPath) {
        const { method = 'GET', headers, url } = incoming;
        const upstream = request(new URL(url ?? '/', model.url), { method, headers }, (answer) => {
          outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
          answer.pipe(outgoing);
        });
        incoming.pipe(upstream);
        return;
      }
      asked.push(await text(incoming));
      if (asked.length === 1) outgoing.end(JSON.stringify({ id: 'ckp_1', name: 'before the migration' }));
      else outgoing.writeHead(429).end(JSON.stringify({ error: { message: 'Too many checkpoints: wait a minute.' } }));
    })();
  });
  broker.listen(0, '127.0.0.1');
  await once(broker, 'listening');
  await using agent = await NativeAgent.create(`http://127.0.0.1:${(broker.address() as AddressInfo).port}`);
  await agent.init({ agent: { anthropicBaseUrl: `http://127.0.0.1:${(broker.address() as AddressInfo).port}` } });
  try {
    const call = scenario('tool', { name: 'mcp__box__checkpoint', input: '{"name":"before the migration"}' });
    const first = await agent.run(call);
    assert.deepEqual(
      only(first, 'tool_use').map((event) => event.content.name),
      ['mcp__box__checkpoint'],
    );
    assert.match(completionOf(first).content, /Checkpoint ckp_1 is made/);
    assert.deepEqual(JSON.parse(asked[0] ?? ''), { name: 'before the migration' });
    const second = await agent.run(call);
    assert.match(completionOf(second).content, /No checkpoint was made: Too many checkpoints/);
  } finally {
    broker.close();
    broker.closeAllConnections();
    await model.close();
  }
});
