import type { Driver } from './daemon.ts';
import type { Shape } from './plan.ts';

/**
 * How large a round is. The double's guest keeps files as JSON, so none of its are large. Virtual machines are emulated in CI: never more
 * than three of them at once.
 */
export const shapes: Readonly<Record<Driver, Shape>> = {
  double: { lanes: [{ two: true }, { two: true }], agentPercent: 70, largePercent: 0, phases: 2, operations: 8, killWithinMs: 600 },
  qemu: { lanes: [{ two: true }, { two: false }], agentPercent: 20, largePercent: 15, phases: 2, operations: 6, killWithinMs: 6000 },
};

/** Of each box: small, since copies of it are made all the time. */
export const diskMib = 256;
