import { readFileSync, statfsSync } from 'node:fs';
import { exclusively } from './lock.mjs';
import { root } from './paths.mjs';
import { quietly, tail } from './program.mjs';
import { SetupError, step } from './say.mjs';

/** Bytes that node_modules takes, measured 0.9 GB (most of it is Claude Code's and Node's binaries), with room for npm's cache. */
const spaceNeeded = 2e9;

/** Installs the npm packages when node_modules is missing, was interrupted, or is not what package-lock.json says. */
export async function ensureModules() {
  if (modulesCurrent()) return;
  await exclusively(`${root}.cache/setup.lock`, async () => {
    if (modulesCurrent()) return;
    requireSpace();
    await step('Installing the npm packages', install);
  });
  if (!modulesCurrent()) {
    throw new SetupError(
      `The npm packages do not match package-lock.json, or have no Node for this machine (${process.arch}): remove node_modules and try again.`,
    );
  }
}

/**
 * Compares the lock file with npm's record of what is installed, which npm writes last: an interrupted installation has
 * none. Also true after a plain `npm install` by hand.
 */
export function modulesCurrent() {
  const wanted = readJson(`${root}package-lock.json`)?.packages ?? {};
  const installed = readJson(`${root}node_modules/.package-lock.json`)?.packages;
  if (installed === undefined || installed[`node_modules/node-linux-${process.arch}`] === undefined) return false;
  return lockSatisfied(wanted, installed);
}

/** Optional packages for other machines are not installed; whatever is there must be the version that was locked. */
export function lockSatisfied(wanted, installed) {
  return Object.entries(wanted).every(([path, entry]) => {
    if (!path.includes('node_modules/') || entry.link) return true;
    const found = installed[path];
    return found === undefined ? Boolean(entry.optional || entry.devOptional || entry.peer) : found.version === entry.version;
  });
}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

function requireSpace() {
  const { bavail, bsize } = statfsSync(root);
  if (bavail * bsize > spaceNeeded) return;
  throw new SetupError(
    `The disk has ${gigabytes(bavail * bsize)} free, the npm packages need ${gigabytes(spaceNeeded)}: free some space in ${root} and try again.`,
  );
}

function gigabytes(bytes) {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}

async function install() {
  const { code, output } = await quietly('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: root });
  if (code === 0) return;
  if (code === 127) throw new SetupError('npm is missing: install it with Node.js (20 or newer) and try again.');
  const network = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|network/i.test(output);
  const advice = network
    ? "the npm registry cannot be reached: check the network and npm's proxy settings, then try again."
    : `npm ended with ${code}.`;
  throw new SetupError(`The npm packages could not be installed: ${advice}\n${tail(output)}`);
}
