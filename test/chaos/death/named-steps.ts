import childProcess from 'node:child_process';
import fs from 'node:fs';
import fsPromises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { DatabaseSync, StatementSync } from 'node:sqlite';

/** A step that is about to happen. */
export type Step = (name: string) => void;

/**
 * Makes every act of this process that outlives it a named step: each write to the database, each change of files and folders, each
 * program that is started. Between any two of them is a point at which a crash leaves something else behind.
 */
export function nameSteps(step: Step): void {
  const write = /^\s*(?:INSERT|UPDATE|DELETE|COMMIT|REPLACE)/i;
  const sqlStep = (sql: string): void => {
    if (write.test(sql)) step(`sql ${nameOf(sql)}`);
  };
  before(StatementSync.prototype, 'run', (statement) => sqlStep((statement as StatementSync).sourceSQL));
  before(DatabaseSync.prototype, 'exec', (_database, sql) => sqlStep(String(sql)));
  for (const name of ['rename', 'rm', 'link', 'mkdir', 'copyFile', 'writeFile'])
    before(fsPromises, name, (_module, path) => step(`${name} ${lastPart(path)}`));
  for (const name of ['renameSync', 'rmSync', 'mkdirSync', 'writeFileSync'])
    before(fs, name, (_module, path) => step(`${name} ${lastPart(path)}`));
  before(childProcess, 'spawn', (_module, program) => step(`spawn ${String(program).split('/').at(-1)}`));
  syncBuiltinESMExports();
}

/** Has something done before each call of a method. */
function before(owner: object, name: string, act: (owner: unknown, first: unknown) => void): void {
  const original = Reflect.get(owner, name) as (...args: unknown[]) => unknown;
  Reflect.set(owner, name, function named(this: unknown, ...args: unknown[]) {
    act(this, args[0]);
    return Reflect.apply<unknown, unknown[], unknown>(original, this, args);
  });
}

/** The kind of file, without what is chance in its name. */
function lastPart(path: unknown): string {
  const name = typeof path === 'string' ? (path.split('/').at(-1) ?? '') : '';
  return name
    .replaceAll(/[a-z]+_[a-z0-9]{12,}/g, '*')
    .replaceAll(/[0-9a-f-]{16,}/g, '*')
    .replaceAll(/(?<=citb-chaos-)\w+|(?<=seal-key\.)\w+/g, '*')
    .replaceAll(/\d+/g, 'N');
}

/** The verb and the table. */
function nameOf(sql: string): string {
  const [, verb = '', table = ''] = /^\s*(INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM|COMMIT|REPLACE INTO)\s*(\w*)/i.exec(sql) ?? [];
  return `${verb} ${table}`.trim();
}
