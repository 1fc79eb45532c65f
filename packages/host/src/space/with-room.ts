import type { Services } from '../services.ts';

type Growing = Pick<Services, 'boxes' | 'checkpoints' | 'transfer'>;

/** The services with which the host's disk fills: before each of them room is made, if it is short. */
export function withRoom({ boxes, checkpoints, transfer }: Growing, makeRoom: () => Promise<void>): Growing {
  const first = async <R>(work: () => Promise<R>): Promise<R> => {
    await makeRoom();
    return await work();
  };
  return {
    boxes: { ...boxes, create: (...args) => first(() => boxes.create(...args)) },
    checkpoints: {
      ...checkpoints,
      create: (...args) => first(() => checkpoints.create(...args)),
      restore: (...args) => first(() => checkpoints.restore(...args)),
      fork: (...args) => first(() => checkpoints.fork(...args)),
    },
    transfer: {
      ...transfer,
      prepare: (...args) => first(() => transfer.prepare(...args)),
      import: (...args) => first(() => transfer.import(...args)),
      uploads: {
        ...transfer.uploads,
        begin: () => first(() => transfer.uploads.begin()),
        append: (...args) => first(() => transfer.uploads.append(...args)),
        finish: (...args) => first(() => transfer.uploads.finish(...args)),
      },
    },
  };
}
