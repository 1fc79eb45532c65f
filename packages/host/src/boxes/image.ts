import { ApiError } from '@citb/api';
import type { BootImage } from '@citb/images';
import type { BoxParts } from './parts.ts';

/**
 * The runtime's image, built when it is missing.
 * @param boxId gets the progress in its log
 * @throws unknown_runtime, image_failed
 */
export async function loadImage({ images, logs, log }: BoxParts, runtime: string, boxId?: string): Promise<BootImage> {
  const runtimes = await images.runtimes();
  if (!runtimes.includes(runtime))
    throw new ApiError('unknown_runtime', `There is no runtime ${JSON.stringify(runtime.slice(0, 100))}.`, {
      field: 'runtime',
      hint: `Use one of: ${runtimes.join(', ')}.`,
    });
  try {
    return await images.get(runtime, (message) => {
      log.info({ runtime }, message);
      if (boxId !== undefined) logs.note(boxId, message);
    });
  } catch (error) {
    throw new ApiError('image_failed', `The image ${runtime} could not be built: ${(error as Error).message}`, { cause: error });
  }
}
