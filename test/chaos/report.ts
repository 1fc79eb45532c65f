import type { Driver } from './daemon.ts';
import type { RoundReport } from './round.ts';
import type { RoundResult } from './suite.ts';
import type { RunReport } from './run.ts';

/** How the operations of a round can be had again. */
export function reproduction(driver: Driver, { seed, host, before }: RoundResult): string {
  return `CITB_SEED=${seed} npm run chaos -- --rounds 1 --driver ${driver} --host ${host}${before.map((step) => ` --before '${step}'`).join('')}`;
}

/** One line for a round that held, a page for one that did not. */
export function roundLines(driver: Driver, number: number, result: RoundResult): string[] {
  const { seed, report, ms, failure } = result;
  const { diedBefore } = result.steps;
  const kills = Object.entries(report.kills).map(([victim, n]) => `${n} ${victim}`);
  const deaths = diedBefore.length === 0 ? '' : `, died before ${diedBefore.map((step) => `'${step}'`).join(', ')}`;
  const line = `${driver} ${number} ${seed}: ${failure === undefined ? 'held' : 'FAILED'}, ${report.operations} operations, killed ${kills.join(', ') || 'nothing'}${deaths}, ${(ms / 1000).toFixed(1)} s`;
  if (failure === undefined) return [line];
  const why = failure.error.name === 'Violation' ? failure.error.message : (failure.error.stack ?? failure.error.message);
  return [line, why, ...failure.history, 'The end of the daemon’s log:', failure.log, why, `Again: ${reproduction(driver, result)}`];
}

/** What a whole run came to. */
export function summaryLines(seed: string, { results, coverage }: RunReport): string[] {
  const sum = (of: (result: RoundResult) => number): number => results.reduce((total, result) => total + of(result), 0);
  const most = (of: (result: RoundResult) => number): number => Math.max(0, ...results.map(of));
  const counts = (of: (report: RoundReport) => Readonly<Record<string, number>>): string =>
    [...new Set(results.flatMap(({ report }) => Object.keys(of(report))))]
      .toSorted()
      .map((name) => `${name} ${sum(({ report }) => of(report)[name] ?? 0)}`)
      .join(', ') || 'nothing';
  const failed = sum((result) => (result.failure === undefined ? 0 : 1));
  return [
    `seed ${seed}: ${results.length} rounds, ${failed === 0 ? 'all held' : `${failed} FAILED`}`,
    `operations ${sum(({ report }) => report.operations)}, comparisons ${sum(({ report }) => report.checks)}`,
    `killed: ${counts(({ kills }) => kills)}`,
    `boxes that lived to the end of their round slept for: ${counts(({ sleeps }) => sleeps)}`,
    `the daemon killed itself ${coverage.deaths} times, before ${coverage.died} of the ${coverage.size} different steps it came to`,
    ...(coverage.missing.length === 0 ? [] : [`not before: ${coverage.missing.join(', ')}`]),
    `with no box left the daemon had at most ${most(({ openFiles }) => openFiles)} files open and ${Math.round(most(({ memoryMib }) => memoryMib))} MiB of its own memory`,
  ];
}
