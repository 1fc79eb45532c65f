import { NativeAgent, completionOf, startScriptedModel } from '@citb/testkit';
import { timed } from './measure.ts';

/** The same agent server and Claude Code, the same task, without a machine around them; ms. */
export async function nativeTasks(prompt: string): Promise<{ first: number; second: number }> {
  const model = await startScriptedModel({ port: 0 });
  try {
    await using agent = await NativeAgent.create(model.url, { IS_SANDBOX: '1' });
    await agent.init();
    const one = async (): Promise<number> => {
      const { ms, value } = await timed(() => agent.run(prompt));
      if (completionOf(value).outcome !== 'done') throw new Error('the native task failed');
      return ms;
    };
    return { first: await one(), second: await one() };
  } finally {
    await model.close();
  }
}
