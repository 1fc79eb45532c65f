/** Tables of tasks and their events; the part `tasks` of the store. */
export const taskMigrations = [
  `
  CREATE TABLE tasks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    box_id TEXT NOT NULL,
    state TEXT NOT NULL,
    conversation TEXT NOT NULL,
    prompt TEXT NOT NULL,
    created TEXT NOT NULL,
    started TEXT,
    ended TEXT,
    outcome TEXT,
    result TEXT,
    usage TEXT,
    -- Events recorded so far: their last number and the bytes of their bodies.
    last_seq INTEGER NOT NULL DEFAULT 0,
    event_bytes INTEGER NOT NULL DEFAULT 0,
    -- 1 when events were left out because of the bounds.
    truncated INTEGER NOT NULL DEFAULT 0,
    -- How far the guest's journal was read. A guest that crashed may have lost the end of it and use those numbers again: the
    -- epoch counts how often it did. run_id: the run in which the journal was last seen to go on from here.
    guest_epoch INTEGER NOT NULL DEFAULT 0,
    guest_seq INTEGER NOT NULL DEFAULT 0,
    run_id TEXT,
    cancel_asked INTEGER NOT NULL DEFAULT 0,
    -- 1 when the guest was told that it may drop its journal.
    forgotten INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX tasks_of_box ON tasks (box_id, number);
  CREATE INDEX tasks_unfinished ON tasks (box_id) WHERE ended IS NULL;

  -- The request as the guest gets it, until the guest has it on its own disk.
  CREATE TABLE task_spool (
    task INTEGER PRIMARY KEY REFERENCES tasks (number) ON DELETE CASCADE,
    request TEXT NOT NULL
  ) STRICT;

  CREATE TABLE task_events (
    task INTEGER NOT NULL REFERENCES tasks (number) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    -- NULL for an event of the host's own.
    guest_epoch INTEGER,
    guest_seq INTEGER,
    body TEXT NOT NULL,
    PRIMARY KEY (task, seq)
  ) STRICT;
  CREATE UNIQUE INDEX task_events_once ON task_events (task, guest_seq, guest_epoch) WHERE guest_seq IS NOT NULL;
  `,
  // 1: the box was killed, and the events stay only for those who read them at that moment.
  'ALTER TABLE tasks ADD COLUMN buried INTEGER NOT NULL DEFAULT 0',
  // 1: its turn came and what is done before it was done: from then on the guest may have it.
  'ALTER TABLE tasks ADD COLUMN prepared INTEGER NOT NULL DEFAULT 0',
] as const;
