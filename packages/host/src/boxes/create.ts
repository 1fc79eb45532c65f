import { ApiError } from '@citb/api';
import type { BootImage } from '@citb/images';
import type { NewBox } from '../services.ts';
import { loadImage } from './image.ts';
import { withMemory } from './memory-room.ts';
import { newAccessToken, newBoxId } from './names.ts';
import type { BoxParts } from './parts.ts';
import type { BoxRow } from './rows.ts';

/** Scope of boxes among the idempotency keys. */
const scope = 'boxes';

/** The box that a request is about, on its way to be awake. */
export interface Claim {
  readonly id: string;
  readonly created: boolean;
}

/**
 * The box that a request is about: the one there is, or a new row (state `creating`, intent `start`) that is handed to `start`.
 * Between the last look, the insert and the start nothing is awaited: two requests at once never make two boxes, and the reconciler
 * never sees a new row without its writer at work.
 * @throws unknown_runtime, box_exists, box_killed, runtime_conflict, idempotency_conflict, host_full, host_disk_full, image_failed
 */
export async function claimBox(
  parts: BoxParts,
  request: NewBox,
  idempotencyKey: string | undefined,
  start: (id: string) => void,
): Promise<Claim> {
  for (;;) {
    const before = await existing(parts, request, idempotencyKey);
    if (before !== undefined) return before;
    parts.admission.checkNew(parts.rows.count());
    const image = await loadImage(parts, request.runtime);
    const claim = await withMemory(parts, () => {
      // Another request may have made it while the image was built, or another box put to sleep for this one.
      if (dyingBox(parts, request) !== undefined) return undefined;
      const meanwhile = find(parts, request, idempotencyKey);
      if (meanwhile !== undefined) return meanwhile;
      const id = insert(parts, request, image, idempotencyKey);
      start(id);
      return { id, created: true };
    });
    if (claim !== undefined) return claim;
  }
}

/** What there is already, once a kill that is on its way is over. */
async function existing(parts: BoxParts, request: NewBox, idempotencyKey: string | undefined): Promise<Claim | undefined> {
  for (let dying = dyingBox(parts, request); dying !== undefined; dying = dyingBox(parts, request)) {
    const kill = parts.writers.killing(dying.id);
    // Left by a crash or a kill that failed: the reconciler completes it.
    if (kill === undefined) throw new ApiError('box_busy', 'The box of before is still being removed.');
    await kill;
  }
  return find(parts, request, idempotencyKey);
}

/** The box in the request's way that is being killed. */
function dyingBox({ rows }: BoxParts, request: NewBox): BoxRow | undefined {
  const rivals = [
    request.userId === undefined ? undefined : rows.byUser(request.userId),
    request.id === undefined ? undefined : rows.get(request.id),
  ];
  return rivals.find((row) => row?.intent === 'kill');
}

function find(parts: BoxParts, request: NewBox, idempotencyKey: string | undefined): Claim | undefined {
  const { rows, idempotency } = parts;
  if (idempotencyKey !== undefined) {
    const made = idempotency.find(scope, idempotencyKey, identityOf(request));
    if (made !== undefined) {
      if (rows.get(made) === undefined)
        throw new ApiError('box_killed', 'The box that was made with this Idempotency-Key has been killed since.', {
          hint: 'Use a new Idempotency-Key for a new box.',
        });
      return { id: made, created: true };
    }
  }
  const ofUser = request.userId === undefined ? undefined : rows.byUser(request.userId);
  if (ofUser !== undefined) {
    if (ofUser.runtime !== request.runtime)
      throw new ApiError(
        'runtime_conflict',
        `The user has a box with the runtime ${ofUser.runtime}, not ${request.runtime.slice(0, 100)}.`,
      );
    if (request.id !== undefined && request.id !== ofUser.id)
      throw new ApiError('box_exists', `The user has a box already: ${ofUser.id}.`, { field: 'user_id' });
    return { id: ofUser.id, created: false };
  }
  if (request.id !== undefined && rows.get(request.id) !== undefined) throw new ApiError('box_exists', undefined, { field: 'id' });
  return undefined;
}

/** @throws host_full, host_disk_full */
function insert(parts: BoxParts, request: NewBox, image: BootImage, idempotencyKey: string | undefined): string {
  const { rows, admission, idempotency, settings, now } = parts;
  const { envVars } = identityOf(request);
  const id = request.id ?? newBoxId();
  const created = now();
  const memoryMib = request.memoryMib ?? image.manifest.memoryMib;
  admission.checkNew(rows.count());
  admission.reserve(id, memoryMib);
  try {
    rows.store.transaction(() => {
      rows.insert({
        id,
        userId: request.userId ?? null,
        runtime: request.runtime,
        agent: image.manifest.agent,
        imageKey: image.key,
        labels: request.labels ?? {},
        diskMib: request.diskMib ?? settings.diskMib,
        memoryMib,
        cpus: request.cpus ?? image.manifest.cpus,
        created,
        expires: request.timeoutS === undefined ? null : created + request.timeoutS * 1000,
        idleS: request.idleS ?? settings.idleS,
        keepAliveUntil: request.keepAliveUntil ?? null,
        timeoutS: request.timeoutS ?? null,
        onTimeout: request.onTimeout ?? 'kill',
        secrets: { accessToken: newAccessToken(), envVars },
      });
      if (idempotencyKey !== undefined) idempotency.remember(scope, idempotencyKey, identityOf(request), id);
    });
  } catch (error) {
    admission.release(id);
    throw error;
  }
  return id;
}

/** What makes two requests the same, and what may enter the box: all but the Anthropic key, which may be renewed between them. */
function identityOf(request: NewBox): NewBox {
  const envVars = Object.fromEntries(Object.entries(request.envVars).filter(([name]) => name !== 'ANTHROPIC_API_KEY'));
  return { ...request, envVars };
}
