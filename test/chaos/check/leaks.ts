import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type FoundRow, readDatabase } from './database.ts';
import { openFiles, processesOf } from './processes.ts';

/** What lies in a data directory beside the folders of boxes. */
const expectedEntries =
  /^(?:boxes|images|no-images|exports|imports|templates|trash|host\.(?:db(?:-wal|-shm)?|lock(?:-journal)?|pid|json)|seal-key|api-key|qemu-probe\.json|qemu-preload\.so)$/;

/** Groups of these runs were ours once. */
export class SeenRuns {
  readonly ids = new Set<string>();

  add(rows: readonly FoundRow[]): void {
    for (const { run_id } of rows) if (run_id !== null) this.ids.add(run_id);
  }
}

/** All that is there though no box that is known accounts for it; empty when nothing is. One look: what is on its way may still be in it. */
export function leaksOf(dataDir: string, daemonPid: number, knownIds: ReadonlySet<string>, runs: SeenRuns): string[] {
  const found = readDatabase(dataDir, (database) => ({
    rows: database.boxes(),
    named: database.named(),
    checkpoints: database.checkpoints(),
    rollbacks: database.rollbacks(),
  }));
  runs.add(found.rows);
  return [
    ...unequal(
      'rows of boxes',
      found.rows.map((row) => row.id),
      knownIds,
    ),
    ...found.rows.filter((row) => row.intent !== null || row.state === 'creating').map((row) => `unfinished row ${JSON.stringify(row)}`),
    ...[...found.named].flatMap(([table, ids]) => ids.filter((id) => !knownIds.has(id)).map((id) => `rows of ${table} name ${id}`)),
    ...found.checkpoints.filter((row) => row.state !== 'ready').map((row) => `unfinished checkpoint ${JSON.stringify(row)}`),
    ...(found.rollbacks > 0 ? [`${found.rollbacks} unfinished rollbacks`] : []),
    ...machines(dataDir, found.rows),
    ...folders(dataDir, found, knownIds),
    ...groups(found.rows, runs),
    ...sockets(dataDir, knownIds),
    ...openFiles(daemonPid)
      .filter((path) => path.startsWith(dataDir) && path.endsWith(' (deleted)'))
      .map((path) => `the daemon holds ${path}`),
  ];
}

function unequal(what: string, found: readonly string[], expected: ReadonlySet<string>): string[] {
  const there = new Set(found);
  return [
    ...found.filter((id) => !expected.has(id)).map((id) => `${what}: ${id} belongs to nobody`),
    ...[...expected].filter((id) => !there.has(id)).map((id) => `${what}: ${id} is missing`),
  ];
}

function machines(dataDir: string, rows: readonly FoundRow[]): string[] {
  const pids = new Set(rows.flatMap((row) => (row.pid === null ? [] : [row.pid])));
  const processes = processesOf(join(dataDir, 'boxes'));
  const alive = new Set(processes.map(({ pid }) => pid));
  // The way out of a box that runs: QEMU lets go of its child, which ends when the connection does.
  const wayOut = (command: string): boolean =>
    rows.some((row) => row.state === 'running' && command.includes(`/boxes/${row.id}/broker.sock`));
  return [
    ...processes
      .filter(({ pid, command }) => !pids.has(pid) && !wayOut(command))
      .map(({ pid, command }) => `process ${pid} of no box: ${command.slice(0, 300)}`),
    ...rows
      .filter((row) => row.state === 'running' && (row.pid === null || !alive.has(row.pid)))
      .map((row) => `running without a process: ${JSON.stringify(row)}`),
    ...rows
      .filter((row) => row.state !== 'running' && row.pid !== null && alive.has(row.pid))
      .map((row) => `a process though not running: ${JSON.stringify(row)}`),
  ];
}

function folders(
  dataDir: string,
  { rows, checkpoints }: { rows: readonly FoundRow[]; checkpoints: readonly { id: string; box_id: string }[] },
  knownIds: ReadonlySet<string>,
): string[] {
  const boxes = join(dataDir, 'boxes');
  const leaks = [
    ...readdirSync(dataDir)
      .filter((name) => !expectedEntries.test(name))
      .map((name) => `${name} in the data directory`),
    ...['imports', 'trash', 'exports'].flatMap((name) => entries(join(dataDir, name)).map((left) => `${left} in ${name}`)),
    ...unequal('folders of boxes', entries(boxes), knownIds),
  ];
  for (const row of rows) {
    const inside = entries(join(boxes, row.id));
    for (const name of inside) {
      if (/\.(?:new|back)$|^fork$/.test(name)) leaks.push(`${name} in the folder of ${row.id}`);
      if (name === 'pause' && row.state !== 'paused') leaks.push(`saved memory of ${row.id}, which is ${row.state}`);
    }
    const ids = new Set(checkpoints.filter((each) => each.box_id === row.id).map((each) => each.id));
    leaks.push(...unequal(`checkpoints of ${row.id}`, entries(join(boxes, row.id, 'checkpoints')), ids));
  }
  return leaks;
}

function groups(rows: readonly FoundRow[], runs: SeenRuns): string[] {
  const present = new Set(rows.filter((row) => row.state === 'running').map((row) => row.run_id));
  return ['', 'memory', 'cpu', 'pids']
    .flatMap((controller) => entries(join('/sys/fs/cgroup', controller, 'citb')).map((run) => ({ controller, run })))
    .filter(({ run }) => runs.ids.has(run) && !present.has(run))
    .map(({ controller, run }) => `cgroup ${controller} of ${run}`);
}

/** Unix sockets that are open under the folder of a box that is gone. */
function sockets(dataDir: string, knownIds: ReadonlySet<string>): string[] {
  const pattern = new RegExp(`${join(dataDir, 'boxes')}/([^/]+)/\\S+`, 'g');
  return [
    ...new Set(
      [...readFileSync('/proc/net/unix', 'utf8').matchAll(pattern)]
        .filter(([, id = '']) => !knownIds.has(id))
        .map(([path]) => `socket ${path}`),
    ),
  ];
}

function entries(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
