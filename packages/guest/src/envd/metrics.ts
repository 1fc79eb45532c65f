import { readFile, statfs } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GuestMetrics } from '@citb/api';

/** The first answer has nothing to compare with yet: it waits this long, in ms. */
const firstSampleMs = 100;
const mib = 1024 * 1024;

interface CpuSample {
  readonly busy: number;
  readonly total: number;
}

/** E2B's `/metrics`. CPU use is that since the last question. */
export class Metrics {
  readonly #folder: string;
  #last: CpuSample | undefined;

  /** @param folder whose file system is the box's disk */
  constructor(folder: string) {
    this.#folder = folder;
  }

  async read(): Promise<GuestMetrics> {
    const before = this.#last ?? (await this.#firstSample());
    const [cpu, memory, disk] = await Promise.all([readCpu(), readMemory(), statfs(this.#folder)]);
    this.#last = cpu;
    const total = cpu.total - before.total;
    const used = memory.total - memory.available;
    return {
      ts: Math.floor(Date.now() / 1000),
      cpu_count: availableParallelism(),
      cpu_used_pct: total > 0 ? Math.round(((cpu.busy - before.busy) / total) * 10_000) / 100 : 0,
      mem_total: memory.total,
      mem_used: used,
      mem_cache: memory.cached,
      mem_total_mib: Math.floor(memory.total / mib),
      mem_used_mib: Math.floor(used / mib),
      disk_used: (disk.blocks - disk.bfree) * disk.bsize,
      disk_total: disk.blocks * disk.bsize,
    };
  }

  async #firstSample(): Promise<CpuSample> {
    const sample = await readCpu();
    await sleep(firstSampleMs);
    return sample;
  }
}

/** proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal. */
async function readCpu(): Promise<CpuSample> {
  const line = (await readFile('/proc/stat', 'utf8')).split('\n')[0] ?? '';
  const ticks = line.split(/\s+/).slice(1, 9).map(Number);
  const total = ticks.reduce((sum, each) => sum + each, 0);
  return { total, busy: total - (ticks[3] ?? 0) - (ticks[4] ?? 0) };
}

async function readMemory(): Promise<{ total: number; available: number; cached: number }> {
  const text = await readFile('/proc/meminfo', 'utf8');
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return { total: bytes('MemTotal'), available: bytes('MemAvailable'), cached: bytes('Cached') };
}
