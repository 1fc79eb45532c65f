import { largeBytes } from '@citb/host/files/files.ts';
import { Random } from './random.ts';

/** What a lane does to one of its two boxes, in words that say all that chance decided. */
export type Operation =
  | { readonly kind: 'create'; readonly box: Which; readonly runtime: string }
  | { readonly kind: 'write'; readonly box: Which; readonly path: string; readonly bytes: number; readonly content: number }
  | { readonly kind: 'exec'; readonly box: Which; readonly path: string; readonly text: string }
  | { readonly kind: 'move'; readonly box: Which; readonly from: string; readonly to: string }
  | { readonly kind: 'remove' | 'read'; readonly box: Which; readonly path: string }
  | { readonly kind: 'remember'; readonly box: Which; readonly word: string }
  | {
      readonly kind: 'task';
      readonly box: Which;
      readonly mark: string;
      readonly background: boolean;
      readonly words: number;
      readonly ms: number;
    }
  | { readonly kind: 'pause' | 'resume' | 'stop' | 'kill'; readonly box: Which }
  /** Nothing, until the box sleeps by itself. */
  | { readonly kind: 'rest'; readonly box: Which }
  | { readonly kind: 'checkpoint'; readonly box: Which; readonly memory: boolean }
  | { readonly kind: 'restore' | 'forget'; readonly box: Which; readonly checkpoint: number }
  /** A fork, or an export and its import, into the place of the lane's other box. */
  | { readonly kind: 'fork' | 'transfer'; readonly box: Which };

/** A lane's first box, and the one that is made of it. */
export type Which = 'first' | 'second';

export type Victim = 'daemon' | 'daemon at a step' | 'daemon twice' | 'vmm' | 'envd' | 'agent';

/** A kill -9. It comes so long after an operation has begun. */
export interface Fault {
  readonly victim: Victim;
  readonly lane: number;
  readonly operation: number;
  readonly afterMs: number;
  /** For `daemon at a step`: how many steps it still lives, for `daemon twice`: how many steps of its next start. */
  readonly steps: number;
}

/** One half of a round: the lanes work at the same time, then all is compared. */
export interface Phase {
  readonly lanes: readonly (readonly Operation[])[];
  readonly faults: readonly Fault[];
}

export interface Shape {
  /** Lanes, and whether each may have two boxes. */
  readonly lanes: readonly { readonly two: boolean }[];
  /** Runtime of a lane's box, in percent with an agent. */
  readonly agentPercent: number;
  /** Of the files that are written, how many are so large that they go past envd, in percent. */
  readonly largePercent: number;
  readonly phases: number;
  readonly operations: number;
  /** Seconds without activity after which a box sleeps. */
  readonly idleS: number;
  /** Longest time after which a kill comes, ms. */
  readonly killWithinMs: number;
}

const paths = ['a.txt', 'b.txt', 'c.bin', 'deep/er/d.bin'];

/** All that a round does, by its seed alone. */
export function planOf(seed: string, shape: Shape): Phase[] {
  const random = new Random(seed);
  const runtimes = shape.lanes.map(() => (random.percent(shape.agentPercent) ? 'claude-agent' : 'bash'));
  let count = 0;
  const name = (prefix: string): string => `${prefix}${(count++).toString(36)}x${random.below(36 ** 4).toString(36)}`;

  function operation(lane: number, first: boolean): Operation {
    const two = shape.lanes[lane]?.two === true;
    const box: Which = two && random.percent(30) ? 'second' : 'first';
    const runtime = runtimes[lane] ?? 'bash';
    if (first) return { kind: 'create', box: 'first', runtime };
    const weights = {
      write: 16,
      exec: 8,
      move: 6,
      remove: 4,
      read: 4,
      remember: 8,
      task: runtime === 'bash' ? 0 : 16,
      pause: 10,
      rest: 4,
      resume: 6,
      stop: 5,
      kill: 3,
      checkpoint: 8,
      restore: 7,
      forget: 2,
      fork: two ? 7 : 0,
      transfer: two ? 4 : 0,
      create: 4,
    };
    const kind = random.weighted(weights);
    const path = random.pick(paths);
    const details: Readonly<Record<Operation['kind'], () => Operation>> = {
      create: () => ({ kind: 'create', box, runtime }),
      write: () => {
        const least = random.percent(shape.largePercent) ? largeBytes : 0;
        const bytes = least + (random.percent(20) ? random.below(400_000) : random.below(2000));
        return { kind: 'write', box, path, bytes, content: random.below(1_000_000) };
      },
      exec: () => ({ kind: 'exec', box, path: random.pick(['a.txt', 'b.txt']), text: name('t') }),
      move: () => ({ kind: 'move', box, from: path, to: random.pick(paths.filter((each) => each !== path)) }),
      remove: () => ({ kind: 'remove', box, path }),
      read: () => ({ kind: 'read', box, path }),
      remember: () => ({ kind: 'remember', box, word: name('w') }),
      task: () => ({
        kind: 'task',
        box,
        mark: name('mark-'),
        background: random.percent(50),
        words: 1 + random.below(20),
        ms: random.below(40),
      }),
      checkpoint: () => ({ kind: 'checkpoint', box, memory: random.percent(70) }),
      restore: () => ({ kind: 'restore', box, checkpoint: random.below(5) }),
      forget: () => ({ kind: 'forget', box, checkpoint: random.below(5) }),
      pause: () => ({ kind: 'pause', box }),
      rest: () => ({ kind: 'rest', box }),
      resume: () => ({ kind: 'resume', box }),
      stop: () => ({ kind: 'stop', box }),
      kill: () => ({ kind: 'kill', box }),
      fork: () => ({ kind: 'fork', box }),
      transfer: () => ({ kind: 'transfer', box }),
    };
    return details[kind]();
  }

  function fault(): Fault {
    const agents = runtimes.flatMap((runtime, lane) => (runtime === 'bash' ? [] : [lane]));
    const victim = random.weighted({
      daemon: 20,
      'daemon at a step': 40,
      'daemon twice': 10,
      vmm: 20,
      envd: 8,
      agent: agents.length > 0 ? 8 : 0,
    } satisfies Record<Victim, number>);
    return {
      victim,
      lane: victim === 'agent' ? random.pick(agents) : random.below(shape.lanes.length),
      operation: random.below(shape.operations),
      afterMs: random.percent(50) ? random.below(Math.ceil(shape.killWithinMs / 10)) : random.below(shape.killWithinMs),
      steps: 1 + random.below(random.percent(50) ? 12 : 60),
    };
  }

  return Array.from({ length: shape.phases }, (_, phase) => ({
    lanes: shape.lanes.map((_lane, lane) => Array.from({ length: shape.operations }, (_op, n) => operation(lane, phase === 0 && n === 0))),
    faults: Array.from({ length: 1 + random.below(3) }, fault),
  }));
}
