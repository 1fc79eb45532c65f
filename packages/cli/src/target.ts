import { boxId } from '@citb/api';
import { ApiError, type Box, type Citb } from '@citb/sdk';
import { UsageError } from './exit.ts';

export const boxArgument = 'id of a box, user:NAME, or a user id that is no box id';

/** The box that a user means: its id, `user:ada`, or plain `ada` when that names one box. @throws ApiError `box_not_found`, UsageError */
export async function findBox(citb: Citb, name: string): Promise<Box> {
  if (name.startsWith('user:')) return ofUser(citb, name.slice('user:'.length));
  const [byId, byUser] = await Promise.all([
    boxId.safeParse(name).success ? orNothing(citb.boxes.get(name)) : undefined,
    orNothing(citb.boxes.byUser(name)),
  ]);
  if (byId !== undefined && byUser !== undefined && byId.id !== byUser.id) {
    throw new UsageError(
      `"${name}" is the id of a box and also a user with another box, ${byUser.id}.`,
      `Write user:${name} for the user's box, or use the id ${byUser.id}.`,
    );
  }
  return byId ?? byUser ?? noBox(name);
}

async function ofUser(citb: Citb, userId: string): Promise<Box> {
  return (await citb.boxes.byUser(userId)) ?? noBox(`user:${userId}`);
}

function noBox(name: string): never {
  throw new ApiError('box_not_found', `There is no box "${name}".`, { hint: '`citb ls` shows the boxes; `citb create` makes one.' });
}

async function orNothing(box: Promise<Box | undefined>): Promise<Box | undefined> {
  try {
    return await box;
  } catch (error) {
    if (error instanceof ApiError && (error.code === 'box_not_found' || error.status === 422)) return undefined;
    throw error;
  }
}
