import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { NativeAgent, type ScriptedModel, completionOf, only, scenario, startScriptedModel } from '@citb/testkit';

/** Every fault of the model, each in a conversation of its own; the agent stays usable after all of them. */
suite('what goes wrong at the model', { timeout: 120_000 }, () => {
  let model: ScriptedModel;
  let agent: NativeAgent;
  before(async () => {
    model = await startScriptedModel();
    agent = await NativeAgent.create(model.url);
    await agent.init({ envVars: { CLAUDE_CODE_MAX_RETRIES: '1' } });
  });
  after(async () => {
    await agent[Symbol.asyncDispose]();
    await model.close();
  });

  const statuses: readonly (readonly [number, string])[] = [
    [400, 'model_bad_request'],
    [401, 'model_auth'],
    [402, 'model_billing'],
    [403, 'model_forbidden'],
    [404, 'model_not_found'],
    [413, 'model_too_large'],
    [429, 'model_rate_limit'],
    [500, 'model_unavailable'],
    [529, 'model_overloaded'],
  ];
  for (const [status, code] of statuses)
    test(`${status} of the API fails the task as ${code}`, async () => {
      const events = await agent.run(scenario('error', { status }));
      const errors = only(events, 'error');
      assert.equal(errors.length, 1);
      assert.equal(errors[0]?.content.code, code);
      assert.equal(errors[0]?.content.api_status, status);
      assert.equal(completionOf(events).outcome, 'failed');
      assert.deepEqual(only(events, 'text'), []);
      assert.doesNotMatch(JSON.stringify(events), /127\.0\.0\.1|ede_diagnostic/);
    });

  const failures: readonly (readonly [string, string])[] = [
    ['cut', 'model_unreachable'],
    ['cut_during', 'model_unreachable'],
    ['sse_error', 'model_overloaded'],
    ['refusal', 'model_refused'],
    ['max_tokens', 'max_output_tokens'],
  ];
  for (const [name, code] of failures)
    test(`${name} fails the task as ${code}`, async () => {
      const events = await agent.run(scenario(name));
      assert.equal(only(events, 'error')[0]?.content.code, code);
      assert.equal(completionOf(events).outcome, 'failed');
      assert.doesNotMatch(JSON.stringify(events), /127\.0\.0\.1|ede_diagnostic/);
    });

  for (const name of ['error', 'cut', 'cut_during', 'sse_error'])
    test(`${name} that happens once is got over`, async () => {
      const events = await agent.run(scenario(name, { times: 1, retry: 1 }));
      assert.equal(completionOf(events).outcome, 'done');
      assert.match(completionOf(events).content, /Recovered/);
    });

  for (const name of ['bad_json', 'unknown_tool'])
    test(`${name} is told to the model, which goes on`, async () => {
      const events = await agent.run(scenario(name));
      assert.equal(only(events, 'tool_result')[0]?.content.is_error, true);
      assert.equal(completionOf(events).content, 'Recovered.');
    });

  test('an answer without content still ends the task', async () => {
    const events = await agent.run(scenario('empty'));
    assert.equal(completionOf(events).outcome, 'done');
    assert.notEqual(completionOf(events).content, '');
  });

  test('after all of it the conversation goes on', async () => {
    assert.equal(completionOf(await agent.run(scenario('say', { text: 'Still here.' }))).content, 'Still here.');
  });
});
