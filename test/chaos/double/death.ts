import childProcess from 'node:child_process';
import fs from 'node:fs';
import fsPromises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { DatabaseSync, StatementSync } from 'node:sqlite';

/** A step that is about to happen: it dies before it, when it is its turn. */
export type Step = (name: string) => void;

/** Told to a daemon of the double by its parent: it kills itself with -9 before the n-th step from now on, or (null) not at all. */
export interface DieAt {
  readonly dieAt: number | null;
}

/**
 * Makes every act of this process that outlives it a named step: each write to the database, each change of files and folders, each
 * program that is started. Between any two of them is a point at which a crash leaves something else behind.
 */
export function nameSteps(step: Step): void {
  const write = /^\s*(?:INSERT|UPDATE|DELETE|COMMIT|REPLACE)/i;
  const { run } = StatementSync.prototype;
  StatementSync.prototype.run = function named(this: StatementSync, ...args: Parameters<typeof run>) {
    if (write.test(this.sourceSQL)) step(`sql ${nameOf(this.sourceSQL)}`);
    return run.apply(this, args);
  } as typeof run;
  const { exec } = DatabaseSync.prototype;
  DatabaseSync.prototype.exec = function named(this: DatabaseSync, sql: string) {
    if (write.test(sql)) step(`sql ${nameOf(sql)}`);
    exec.call(this, sql);
  };
  for (const name of ['rename', 'rm', 'link', 'mkdir', 'copyFile', 'writeFile'] as const) wrap(fsPromises, name, step);
  for (const name of ['renameSync', 'rmSync', 'mkdirSync', 'writeFileSync'] as const) wrap(fs, name, step);
  const { spawn } = childProcess;
  childProcess.spawn = ((...args: Parameters<typeof spawn>) => {
    step(`spawn ${String(args[0]).split('/').at(-1)}`);
    return spawn(...args);
  }) as typeof spawn;
  syncBuiltinESMExports();
}

function wrap<N extends string>(module: { [K in N]: (...args: never[]) => unknown }, name: N, step: Step): void {
  const original = module[name] as (...args: unknown[]) => unknown;
  module[name] = ((...args: unknown[]) => {
    step(`${name} ${lastPart(args[0])}`);
    return original(...args);
  }) as (typeof module)[N];
}

/** The kind of file, without what is chance in its name. */
function lastPart(path: unknown): string {
  const name = typeof path === 'string' ? (path.split('/').at(-1) ?? '') : '';
  return name
    .replaceAll(/[a-z]+_[a-z0-9]{12,}/g, '*')
    .replaceAll(/[0-9a-f-]{16,}/g, '*')
    .replaceAll(/\d+/g, 'N');
}

/** The verb and the table. */
function nameOf(sql: string): string {
  const [, verb = '', table = ''] = /^\s*(INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM|COMMIT|REPLACE INTO)\s*(\w*)/i.exec(sql) ?? [];
  return `${verb} ${table}`.trim();
}
