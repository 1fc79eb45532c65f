import { fileURLToPath } from 'node:url';

/** The clone. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

/** The Node that everything runs on: the npm package holds the binary, for this machine's CPU. */
export const node = `${root}node_modules/node-linux-${process.arch}/bin/node`;
