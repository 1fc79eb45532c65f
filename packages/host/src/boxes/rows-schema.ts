/** The table of boxes, as it came to be: each entry is applied once, in order. */
export const migrations = [
  `CREATE TABLE boxes (
     id TEXT PRIMARY KEY,
     user_id TEXT UNIQUE,
     runtime TEXT NOT NULL,
     agent INTEGER NOT NULL,
     image_key TEXT NOT NULL,
     state TEXT NOT NULL CHECK (state IN ('creating', 'running', 'paused', 'stopped', 'failed')),
     reason TEXT,
     labels TEXT NOT NULL,
     disk_mib INTEGER NOT NULL,
     memory_mib INTEGER NOT NULL,
     cpus INTEGER NOT NULL,
     address TEXT UNIQUE,
     run_id TEXT UNIQUE,
     spec TEXT,
     record TEXT,
     access_token BLOB NOT NULL,
     env BLOB NOT NULL,
     created INTEGER NOT NULL,
     expires INTEGER,
     intent TEXT CHECK (intent IN ('start', 'kill')),
     intent_since INTEGER
   ) STRICT;
   CREATE INDEX boxes_by_age ON boxes (created, id);`,
  // A table of its own, since the CHECK of a column cannot be changed. Boxes of before keep what they were told: no idle time.
  `CREATE TABLE boxes_next (
     id TEXT PRIMARY KEY,
     user_id TEXT UNIQUE,
     runtime TEXT NOT NULL,
     agent INTEGER NOT NULL,
     image_key TEXT NOT NULL,
     state TEXT NOT NULL CHECK (state IN ('creating', 'running', 'paused', 'stopped', 'failed')),
     reason TEXT,
     labels TEXT NOT NULL,
     disk_mib INTEGER NOT NULL,
     memory_mib INTEGER NOT NULL,
     cpus INTEGER NOT NULL,
     address TEXT UNIQUE,
     run_id TEXT UNIQUE,
     spec TEXT,
     record TEXT,
     access_token BLOB NOT NULL,
     env BLOB NOT NULL,
     created INTEGER NOT NULL,
     expires INTEGER,
     intent TEXT CHECK (intent IN ('start', 'kill', 'pause', 'stop')),
     intent_since INTEGER,
     saved INTEGER NOT NULL DEFAULT 0,
     asleep INTEGER NOT NULL DEFAULT 0,
     idle_s INTEGER NOT NULL DEFAULT 0,
     keep_alive_until INTEGER,
     timeout_s INTEGER,
     on_timeout TEXT NOT NULL DEFAULT 'kill' CHECK (on_timeout IN ('kill', 'stop', 'pause')),
     warned INTEGER
   ) STRICT;
   INSERT INTO boxes_next (id, user_id, runtime, agent, image_key, state, reason, labels, disk_mib, memory_mib, cpus, address, run_id,
       spec, record, access_token, env, created, expires, intent, intent_since, timeout_s)
     SELECT id, user_id, runtime, agent, image_key, state, reason, labels, disk_mib, memory_mib, cpus, address, run_id,
       spec, record, access_token, env, created, expires, intent, intent_since, max(1, (expires - created) / 1000) FROM boxes;
   DROP TABLE boxes;
   ALTER TABLE boxes_next RENAME TO boxes;
   CREATE INDEX boxes_by_age ON boxes (created, id);`,
];
