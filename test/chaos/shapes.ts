import type { Driver } from './daemon.ts';
import type { Shape } from './plan.ts';

/**
 * How large a round is. The double's guest keeps files as JSON, so none of its are large. Virtual machines are emulated in CI: never more
 * than three of them at once. Boxes sleep so soon that they do while their caller waits for something else.
 */
export const shapes: Readonly<Record<Driver, Shape>> = {
  double: {
    lanes: [{ two: true }, { two: true }],
    agentPercent: 70,
    largePercent: 0,
    phases: 2,
    operations: 8,
    idleS: 1,
    killWithinMs: 600,
  },
  qemu: {
    lanes: [{ two: true }, { two: false }],
    agentPercent: 20,
    largePercent: 15,
    phases: 2,
    operations: 6,
    idleS: 4,
    killWithinMs: 6000,
  },
};

/**
 * Memory for machines of the double, MiB: three with an agent, each with what an emulated machine takes beside its guest's memory. A
 * fourth gets its room from one that rests. With room for two, two callers who fork at the same time would wait for each other for ever.
 */
export const doubleMemoryMib = 3 * (1024 + 640);

/** Of each box: small, since copies of it are made all the time. */
export const diskMib = 256;
