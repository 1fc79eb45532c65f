import { readFileSync } from 'node:fs';

/**
 * Tells an emulated guest how fast its time stamp counter runs, as a kernel parameter with a leading space; '' where that is
 * not known. QEMU's software CPU passes the host's counter through, and a microvm has no other clock: left alone the kernel
 * measures the counter against the emulated PIT, which fails whenever the host is busy, and then waits for ever for a first
 * tick, silently (seen at load 5 on 2 cores, every time; with the parameter at load 7, never). `reliable`, because a guest with two
 * emulated CPUs finds their counters apart and then counts ticks instead, of which a busy host loses 11 % (seen: 26 s in 4 minutes).
 */
export function tscParameter(cpuinfo: string = readFileSync('/proc/cpuinfo', 'utf8')): string {
  // With APERF/MPERF "cpu MHz" is the speed of the moment, not the counter's. Virtual machines, where KVM is usually missing, have none.
  if (/^flags\b.*\baperfmperf\b/m.test(cpuinfo)) return '';
  const megahertz = /^cpu MHz\s*:\s*([\d.]+)/m.exec(cpuinfo)?.[1];
  return megahertz === undefined ? '' : ` tsc=reliable tsc_early_khz=${Math.round(Number(megahertz) * 1000)}`;
}
