import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { systemCalls } from './system-calls.ts';

/** A clock that is this little off is left alone, in ms. */
const toleranceMs = 10;
/** CLOCK_REALTIME of clock_settime(2). */
const realtime = 0;

/** Sets the wall clock of this machine. Needs root. @param now milliseconds since the epoch, right at this moment */
export async function setClock(now: number): Promise<void> {
  const asked = performance.now();
  const current = (): number => now + (performance.now() - asked);
  if (Math.abs(Date.now() - current()) <= toleranceMs) return;
  const system = await systemCalls();
  if (system?.clock_settime(realtime, timespec(current())) !== 0) await byDate(current);
}

/** struct timespec: seconds and nanoseconds, 64 bits each. */
function timespec(ms: number): Buffer {
  const time = Buffer.alloc(16);
  time.writeBigInt64LE(BigInt(Math.floor(ms / 1000)), 0);
  time.writeBigInt64LE(BigInt(Math.floor((ms % 1000) * 1e6)), 8);
  return time;
}

/** By date(1). Starting it takes up to seconds in an emulated guest that just booted: what it came too late by is added the next time. */
async function byDate(current: () => number): Promise<void> {
  let late = 0;
  for (let tries = 0; tries < 4 && Math.abs(Date.now() - current()) > 50; tries++) {
    const wanted = current() + late;
    // GNU's date takes fractions, busybox's only whole seconds.
    if (!(await setDate((wanted / 1000).toFixed(3))) && !(await setDate(String(Math.round(wanted / 1000)))))
      throw new Error('date(1) could not set the clock');
    late += current() - Date.now();
  }
}

async function setDate(seconds: string): Promise<boolean> {
  const date = spawn('date', ['-s', `@${seconds}`], { stdio: 'ignore' });
  try {
    const [code] = await once(date, 'exit');
    return code === 0;
  } catch {
    return false;
  }
}
