import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { ApiError } from '@citb/api';
import { Writers } from './writer.ts';

/** Work that waits until its signal aborts. */
async function untilAborted(signal: AbortSignal): Promise<never> {
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  throw new Error('aborted');
}

const killed = (error: unknown): boolean => error instanceof ApiError && error.code === 'box_killed';

suite('the writer of a box', () => {
  test('callers at once share one start', async () => {
    const writers = new Writers<number>();
    let starts = 0;
    const start = async (): Promise<number> => {
      starts += 1;
      await turn();
      return starts;
    };
    assert.deepEqual(await Promise.all([writers.start('a', start), writers.start('a', start), writers.start('b', start)]), [2, 2, 2]);
    assert.equal(await writers.start('a', start), 3, 'a later caller is not given an old answer');
  });

  test('jobs of one box run one after the other, those of two boxes at once', async () => {
    const writers = new Writers<void>();
    const order: string[] = [];
    const job = (name: string) => async (): Promise<void> => {
      order.push(`${name} begins`);
      await turn();
      await turn();
      order.push(`${name} ends`);
    };
    await Promise.all([writers.run('a', job('a1')), writers.run('a', job('a2')), writers.run('b', job('b1'))]);
    assert.ok(order.indexOf('a1 ends') < order.indexOf('a2 begins'));
    assert.ok(order.indexOf('b1 begins') < order.indexOf('a1 ends'));
  });

  test('a kill aborts the running start, refuses what waits and what comes, and is shared', async () => {
    const writers = new Writers<void>();
    let kills = 0;
    const kill = async (): Promise<void> => {
      await turn();
      kills += 1;
    };
    const start = writers.start('a', untilAborted);
    const waiting = writers.run('a', async () => assert.fail('it was refused'));
    const both = [writers.kill('a', kill), writers.kill('a', kill)];
    const late = writers.start('a', async () => assert.fail('it was refused'));
    assert.notEqual(writers.killing('a'), undefined);
    await Promise.all([start, waiting, late].map((one) => assert.rejects(one, killed)));
    await Promise.all(both);
    assert.equal(kills, 1);
    assert.equal(writers.busy('a'), false);
    await writers.run('a', turnOnce);
  });

  test('a kill that failed can be asked for again', async () => {
    const writers = new Writers<void>();
    await assert.rejects(
      writers.kill('a', async () => {
        throw new Error('the disk is stuck');
      }),
      /stuck/,
    );
    await writers.kill('a', turnOnce);
  });

  test('closing aborts what runs, with the reason, and refuses what comes', async () => {
    const writers = new Writers<void>();
    const start = assert.rejects(writers.start('a', untilAborted), { code: 'host_stopping' });
    await writers.close(new ApiError('host_stopping'));
    await start;
    await assert.rejects(writers.start('b', turnOnce), { code: 'host_stopping' });
  });
});

async function turnOnce(): Promise<void> {
  await turn();
}
