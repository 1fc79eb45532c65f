import { fileURLToPath } from 'node:url';
import { createImages, defaultDataDir, ImageError } from '@citb/images';

/** Builds the images of all runtimes that are not current; says nothing when all are. */
const images = createImages({ dataDir: defaultDataDir(process.env), repoRoot: fileURLToPath(new URL('../../', import.meta.url)) });
try {
  for (const runtime of await images.runtimes()) {
    await images.get(runtime, (message) => process.stderr.write(`${message}\n`));
  }
} catch (error) {
  if (!(error instanceof ImageError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
