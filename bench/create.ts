import type { HostStatus } from '@citb/api';
import { preloadedLibrary } from '@citb/host/vmm/qemu/files.ts';
import type { Accelerator } from '@citb/host/vmm/qemu/x86-64.ts';
import { duration, median, timed, times } from './measure.ts';
import type { Shares } from './own-share.ts';
import { restoreRaw, templateIn } from './raw-restore.ts';
import type { Run } from './run.ts';
import type { Row } from './table.ts';

const targets = { timesFasterThanCold: 16, timesRaw: 1.5, ownMs: 25 };

/** `POST /v1/boxes` from a template, until it answers: against a cold boot, against QEMU alone, and the host's own share of it. */
export async function createFromTemplate(run: Run): Promise<Row[]> {
  const cold = await run.cold();
  const { daemon, waits } = await run.cloning();
  const { host } = await daemon.json<HostStatus>('GET', '/status');
  const library = preloadedLibrary(daemon.dataDir);
  const rows: Row[] = [];
  for (const runtime of run.runtimes) {
    await run.templateOf(runtime);
    const template = templateIn(daemon.dataDir, runtime);
    run.tell(`${run.samples} creates of ${runtime}, and as many times QEMU alone, by turns`);
    const shares: Shares[] = [];
    const raw: number[] = [];
    // The first of each is not counted: it reads what the others find in memory.
    for (let round = 0; round <= run.samples; round++) {
      let id = '';
      const ours = await waits.of(async () => void (id = (await daemon.create({ runtime })).id));
      await daemon.mustBeClone(id);
      await daemon.kill(id);
      const alone = await timed(() => restoreRaw(template, host.accelerator as Accelerator, library));
      if (round === 0) continue;
      shares.push(ours);
      raw.push(alone.value);
    }
    console.error(partsOf(shares));
    rows.push(...rowsOf(runtime, shares, median(raw), cold.get(runtime)?.ms ?? Number.NaN));
  }
  return rows;
}

function rowsOf(runtime: string, shares: readonly Shares[], raw: number, cold: number): Row[] {
  const of = (pick: (share: Shares) => number): number => median(shares.map(pick));
  const ms = of((share) => share.ms);
  const own = of((share) => share.own);
  return [
    {
      what: `${runtime}: create, p50`,
      ours: duration(ms),
      against: `cold create, ${duration(cold)}`,
      ratio: `${times(cold / ms)} faster`,
      target: `at least ${targets.timesFasterThanCold} x`,
      met: cold / ms >= targets.timesFasterThanCold,
    },
    {
      what: '',
      ours: '',
      against: `QEMU alone, ${duration(raw)}`,
      ratio: times(ms / raw),
      target: `at most ${targets.timesRaw} x`,
      met: ms / raw <= targets.timesRaw,
    },
    {
      what: "  the host's own share, p50",
      ours: duration(own),
      against: `QEMU ${duration(of((share) => share.qemu))}, guest ${duration(of((share) => share.guest))}`,
      ratio: `${((100 * own) / ms).toFixed(0)} % of it`,
      target: `at most ${targets.ownMs} ms`,
      met: own <= targets.ownMs,
    },
  ];
}

/** Where the time goes, for who wants to make it less. Waits overlap. */
function partsOf(shares: readonly Shares[]): string {
  const names = new Set(shares.flatMap(({ parts }) => [...parts.keys()]));
  return [...names]
    .map((name) => ({ name, ms: median(shares.map(({ parts }) => parts.get(name) ?? 0)) }))
    .filter(({ ms }) => ms >= 1)
    .map(({ name, ms }) => `  ${duration(ms).padStart(8)}  ${name}`)
    .join('\n');
}
