import type { TaskEvent } from '@citb/api';
import type { FollowedTask, KnownBox } from '../box.ts';
import { type Answer, type Client, jsonOf } from '../client.ts';
import { commands } from '../commands.ts';
import { exec } from '../exec.ts';
import { hashOf } from '../hash.ts';
import { Violation } from '../violation.ts';
import { taskFile, type World } from '../world.ts';
import { readDatabase } from './database.ts';

/** What was found in a box. */
interface Found {
  readonly files: ReadonlyMap<string, string>;
  readonly memory: string;
  readonly lossTold: boolean;
  /** Undefined: it has no agent. */
  readonly conversation: readonly string[] | undefined;
}

/** Compares what is in a box with what was acknowledged. @throws Violation */
export async function checkContents(client: Client, dataDir: string, box: KnownBox, mark: string): Promise<void> {
  await Promise.all(box.tasks.map((task) => checkReplay(client, box, task)));
  const found: Found = {
    files: await filesOf(client, box),
    memory: await memoryOf(client, box),
    lossTold: readDatabase(dataDir, (database) => database.memoryLossTold(box.id, box.memorySince)),
    conversation: box.agent ? await conversationOf(client, box, mark) : undefined,
  };
  if (!box.machineKilled && readDatabase(dataDir, (database) => database.wakeFailed(box.id)))
    throw new Violation(`${box.id} has lost its memory in a wake, though nobody killed its machine`);
  const reasons: string[] = [];
  const agrees = (world: World): boolean => {
    const reason = disagreement(world, found);
    if (reason !== undefined) reasons.push(reason);
    return reason === undefined;
  };
  if (!box.belief.found(agrees)) throw new Violation(`${box.id}: ${reasons.join('; or ')}`);
  // From now on it is known: what the found memory is, and which open tasks have left their file.
  box.belief.change((world) => ({ ...settled(world, found), ...(found.memory === '' ? { memory: null } : {}) }));
}

function disagreement(world: World, { files, memory, lossTold, conversation }: Found): string | undefined {
  const open = new Map(Object.entries(world.open).map(([mark, hash]) => [taskFile(mark), hash]));
  for (const [path, hash] of Object.entries(world.files))
    if (files.get(path) !== hash) return `${path} has ${files.get(path) ?? 'gone'} instead of ${hash}`;
  for (const [path, hash] of files)
    if (world.files[path] === undefined && open.get(path) !== hash) return `${path} (${hash}) is there, though nobody put it there`;
  if (memory !== (world.memory ?? '') && !(memory === '' && lossTold))
    return `memory has ${JSON.stringify(memory)} instead of ${JSON.stringify(world.memory)}, and no event tells of a loss`;
  if (conversation === undefined) return undefined;
  const said = new Set(conversation);
  if (said.size < conversation.length) return `the conversation has a task twice: ${conversation.join(' ')}`;
  const missing = world.marks.filter((each) => !said.has(each));
  if (missing.length > 0) return `the conversation has lost ${missing.join(' ')}`;
  const strange = conversation.filter((each) => !world.marks.includes(each) && world.open[each] === undefined);
  if (strange.length > 0) return `the conversation has ${strange.join(' ')}, which was taken back or never asked`;
  return undefined;
}

/** Files of open tasks that are there stay there, whatever became of the task. */
function settled(world: World, { files, conversation }: Found): World {
  const next = { ...world.files };
  for (const mark of Object.keys(world.open)) {
    const hash = files.get(taskFile(mark));
    if (hash !== undefined) next[taskFile(mark)] = hash;
  }
  return { ...world, files: next, marks: [...(conversation ?? world.marks)].toSorted(), open: {} };
}

async function filesOf(client: Client, box: KnownBox): Promise<Map<string, string>> {
  const answer = ok(await client.ask('GET', `/v1/boxes/${box.id}/files?recursive=true`), 'the list of files');
  const { entries } = jsonOf<{ entries: { path: string; type: string; size: number }[] }>(answer);
  const files = new Map<string, string>();
  for (const { path, type, size } of entries) {
    if (type !== 'file') continue;
    const content = ok(await client.ask('GET', `/v1/boxes/${box.id}/files/content?path=${encodeURIComponent(path)}`), path);
    if (content.body.length !== size)
      throw new Violation(`${path} of ${box.id} has ${content.body.length} bytes, its listing says ${size}`);
    files.set(path, hashOf(content.body));
  }
  return files;
}

async function memoryOf(client: Client, box: KnownBox): Promise<string> {
  const outcome = await exec(client, box.id, commands.recall);
  if (outcome?.code !== 'ok')
    throw new Violation(`a command in ${box.id} was answered ${outcome?.code ?? 'not at all'} though nothing was killed`);
  return outcome.output;
}

/** Marks of the user's side of the conversation, asked of the agent itself. */
async function conversationOf(client: Client, box: KnownBox, mark: string): Promise<string[]> {
  const answer = ok(
    await client.ask('POST', `/v1/boxes/${box.id}/tasks`, { json: { prompt: `[[scenario:recall]] ${mark}` } }),
    'the recall',
  );
  const { id } = jsonOf<{ id: string }>(answer);
  const events = await eventsOf(client, box, id);
  const last = events.at(-1);
  if (last?.type !== 'completion' || last.outcome !== 'done')
    throw new Violation(`the recall in ${box.id} ended with ${JSON.stringify(last)}`);
  box.belief.change((world) => ({ ...world, open: { ...world.open, [mark]: 'no file' } }));
  const text = events
    .filter((event) => event.type === 'text')
    .map((event) => event.content)
    .join('');
  const lines = JSON.parse(text) as string[];
  const marks = lines.filter((line) => line.startsWith('user: ')).flatMap((line) => line.match(/mark-\w+/g) ?? []);
  return [...marks, mark];
}

/** A task that was followed is replayed just as it was seen. */
async function checkReplay(client: Client, box: KnownBox, task: FollowedTask): Promise<void> {
  const events = await eventsOf(client, box, task.id);
  const replayed = JSON.stringify(events);
  if (replayed !== JSON.stringify(task.seen))
    throw new Violation(
      `the task ${task.id} of ${box.id} was seen as ${JSON.stringify(task.seen).slice(-1500)} and is replayed as ${replayed.slice(-1500)}`,
    );
}

async function eventsOf(client: Client, box: KnownBox, taskId: string): Promise<TaskEvent[]> {
  const answer = ok(await client.ask('GET', `/v1/boxes/${box.id}/tasks/${taskId}/events`), `the events of ${taskId}`);
  return answer.body
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as TaskEvent);
}

function ok(outcome: Answer | undefined, what: string): Answer {
  if (outcome?.code === 'ok') return outcome;
  const said =
    outcome === undefined ? 'not answered' : `answered ${outcome.status} ${outcome.code}: ${outcome.body.toString().slice(0, 500)}`;
  throw new Violation(`${what} was ${said} though nothing was killed`);
}
