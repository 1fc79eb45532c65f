import { parseArgs } from 'node:util';
import { startScriptedModel } from './server.ts';

/** `node packages/testkit/src/model/main.ts [--port 0] [--host 127.0.0.1]`: runs the scripted model until SIGINT or SIGTERM. */
const { values } = parseArgs({ options: { port: { type: 'string', default: '0' }, host: { type: 'string', default: '127.0.0.1' } } });
const model = await startScriptedModel({ port: Number(values.port), host: values.host });
// One line for a program that started us.
process.stdout.write(`${JSON.stringify({ url: model.url })}\n`);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void model.close());
