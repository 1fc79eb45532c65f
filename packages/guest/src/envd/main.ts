/**
 * envd, the daemon in every box. Started by init as root and started again when it ends: all that it must know of
 * its box is in `init.json`, and the processes that it started run on without it.
 *
 * Settings: CITB_ENVD_PORT (49983), CITB_ENVD_HOST (0.0.0.0), CITB_WORKSPACE (/workspace), CITB_RUN_DIR (/run/citb),
 * CITB_LOG_LEVEL (warn), CITB_ENVD_MACHINE: `guest` = /init sets this machine's clock and name, `untouched` = it does not.
 * Without it, it is a guest's when the guest tools are there and it runs as root.
 *
 * Bundled it is one file. Terminals need a native part: `@lydell/node-pty` and `@lydell/node-pty-linux-x64` (or -arm64)
 * are found at run time in `node_modules/` beside the bundle, and loaded by the first terminal only.
 */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { guestPaths, guestPorts } from '@citb/api';
import { createLog } from '@citb/daemon';
import { guestMachine, untouchedMachine } from './machine.ts';
import { createEnvd } from './server.ts';
import { systemUsers } from './users.ts';

const { env } = process;
const log = createLog('envd', env['CITB_LOG_LEVEL'] ?? 'warn');
process.on('uncaughtException', (error) => fail(error));
process.on('unhandledRejection', (error) => fail(error));

const root = process.getuid?.() === 0;
// Terminals inherit these: root's own groups are not the user's.
if (root) process.setgroups?.([]);
process.umask(0o022);

const inGuest = env['CITB_ENVD_MACHINE'] === undefined ? root && existsSync(guestPaths.tools) : env['CITB_ENVD_MACHINE'] === 'guest';
const server = await createEnvd({
  workspace: env['CITB_WORKSPACE'] ?? guestPaths.workspace,
  runFolder: env['CITB_RUN_DIR'] ?? dirname(guestPaths.init),
  machine: inGuest ? guestMachine : untouchedMachine,
  users: systemUsers(),
  log,
  root,
  receiver: [`${guestPaths.tools}/bin/receive`],
});
const port = await server.listen(Number(env['CITB_ENVD_PORT'] ?? guestPorts.envd), env['CITB_ENVD_HOST'] ?? '0.0.0.0');
log.info({ port, inGuest }, 'ready');

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    void server.close().finally(() => process.exit(0));
  });
}

function fail(error: unknown): void {
  log.fatal({ err: error }, 'stopping');
  process.exit(1);
}
