#!/usr/bin/env node
// The one way to run anything here: does the set-up that is missing, then the program under the project's own Node.
// Runs on the Node that a machine has (20 or newer) and without dependencies: it is what fetches them.
import { commands } from './setup/commands.mjs';
import { ensureModules } from './setup/modules.mjs';
import { runAll, runTogether } from './setup/children.mjs';
import { SetupError, say } from './setup/say.mjs';
import { ensureSystem } from './setup/system.mjs';

const [name, ...args] = process.argv.slice(2);
const command = commands(name, args);
if (command === undefined) {
  say('usage: node scripts/run.mjs demo | test | host | ok | bench | setup | <program.ts> [arguments]');
  process.exit(2);
}

try {
  await ensureModules();
  await ensureSystem(command.machines);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exit(1);
}
await (command.together ? runTogether : runAll)(command.steps);
