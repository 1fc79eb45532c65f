import { setTimeout as sleep } from 'node:timers/promises';
import type { VmRecord } from '../vmm/vmm.ts';
import { withConsole } from './console-end.ts';
import { cpuTime, wantedTime } from './cpu-time.ts';

/** How it shows, in ms: by resting for so long, or by so much CPU time, of which a boot under emulation takes 5-20 s. */
const limits = { restMs: 15_000, cpuMs: 120_000 };

/** A machine that rests uses less of a core than this. */
const restShare = 0.01;

/** A machine that hangs while it boots. It may be started again at once: its disk is as it was. */
export class MachineHangs extends Error {
  /** @param how it shows @param console of it so far */
  constructor(how: string, console: string) {
    super(withConsole(`The machine hangs: ${how}, and its services do not answer.`, console));
    this.name = 'MachineHangs';
  }
}

/**
 * Watches a machine that boots until the signal aborts. In one of some 250 boots on a busy host, under emulation, the guest's kernel
 * was seen to stand still for ever, without a word. A boot is busy from beginning to end, so a machine that rests before its services
 * answer hangs, and so does one that has used the time of many boots.
 * @returns how it shows that it hangs; undefined after the abort, or when it is gone
 */
export async function watchForHang(record: VmRecord, signal: AbortSignal, { restMs, cpuMs } = limits): Promise<string | undefined> {
  // On a busy host one that has to wait for a processor does not rest.
  for (let before = wantedTime(record); before !== undefined;) {
    await sleep(restMs, undefined, { signal }).catch(() => undefined);
    const [now, used] = [wantedTime(record), cpuTime(record)];
    // One that is gone is somebody else's to tell.
    if (signal.aborted || now === undefined || used === undefined) return undefined;
    if (now - before < restMs * restShare) return `it has rested for ${restMs / 1000} s`;
    if (used > cpuMs) return `it has used ${Math.round(used / 1000)} s of CPU time`;
    before = now;
  }
  return undefined;
}
