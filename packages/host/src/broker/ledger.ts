import type { Store } from '../store.ts';
import type { TokenUsage } from './usage-meter.ts';

const migrations = [
  `CREATE TABLE model_usage (
     box_id TEXT PRIMARY KEY,
     requests INTEGER NOT NULL,
     input_tokens INTEGER NOT NULL,
     output_tokens INTEGER NOT NULL,
     cache_read_tokens INTEGER NOT NULL,
     cache_creation_tokens INTEGER NOT NULL
   ) STRICT`,
];

export interface BoxUsage extends TokenUsage {
  /** Requests that were answered by the model endpoint. */
  requests: number;
}

/** What each box has used, as the model endpoint's answers state it. */
export interface Ledger {
  add(boxId: string, usage: TokenUsage): void;
  of(boxId: string): BoxUsage;
  /** The box was killed. */
  forget(boxId: string): void;
}

export function createLedger(store: Store): Ledger {
  store.migrate('model-usage', migrations);
  const { db } = store;
  const add = db.prepare(
    `INSERT INTO model_usage VALUES (?, 1, ?, ?, ?, ?) ON CONFLICT (box_id) DO UPDATE SET
       requests = requests + 1,
       input_tokens = input_tokens + excluded.input_tokens,
       output_tokens = output_tokens + excluded.output_tokens,
       cache_read_tokens = cache_read_tokens + excluded.cache_read_tokens,
       cache_creation_tokens = cache_creation_tokens + excluded.cache_creation_tokens`,
  );
  const get = db.prepare(
    `SELECT requests, input_tokens AS inputTokens, output_tokens AS outputTokens,
       cache_read_tokens AS cacheReadTokens, cache_creation_tokens AS cacheCreationTokens
     FROM model_usage WHERE box_id = ?`,
  );
  const forget = db.prepare('DELETE FROM model_usage WHERE box_id = ?');
  return {
    add(boxId, { inputTokens, outputTokens, cacheReadTokens, cacheCreationTokens }) {
      add.run(boxId, inputTokens, outputTokens, cacheReadTokens, cacheCreationTokens);
    },
    of: (boxId) =>
      (get.get(boxId) as BoxUsage | undefined) ?? {
        requests: 0,
        inputTokens: 0,
        outputTokens: 0,
        cacheReadTokens: 0,
        cacheCreationTokens: 0,
      },
    forget: (boxId) => void forget.run(boxId),
  };
}
