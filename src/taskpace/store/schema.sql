-- A run file: one experiment carried out. Everything raw, nothing derived.
--
-- Times ending in _ns are integer nanoseconds; started_at and the like are wall-clock labels (ISO 8601, UTC).
-- Unknown is NULL, never 0. Rows are only ever added; the triggers at the end see to it.
--
-- Format history
--   1  first format
--   2  names: session (was sitting), segment (stretch), grade (verdict), turn.arrivals (marks)
--   3  systems take turns: record.round, record.place, record.machine_ns; anchor
--   4  record.final

-- What the run is. One row.
CREATE TABLE run (
    plan_id           TEXT NOT NULL,     -- content hash of everything that will be done
    name              TEXT NOT NULL,
    created_at        TEXT NOT NULL,
    taskpace_version  TEXT NOT NULL,
    experiment        TEXT NOT NULL      -- JSON: the experiment as read, sweeps unfolded
) STRICT;

-- One row for each time `taskpace run` worked on this file.
CREATE TABLE session (
    number            INTEGER PRIMARY KEY,
    started_at        TEXT NOT NULL,
    taskpace_version  TEXT NOT NULL,
    host              TEXT NOT NULL      -- JSON: machine and versions
) STRICT;

CREATE TABLE system (
    position   INTEGER PRIMARY KEY,      -- order in the experiment
    name       TEXT NOT NULL UNIQUE,
    spec       TEXT NOT NULL,            -- JSON: engine, model reference, sampling, system prompt, options
    sha256     TEXT,                     -- of the model file
    size_bytes INTEGER
) STRICT;

CREATE TABLE task (
    position INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    version  INTEGER NOT NULL,
    spec     TEXT NOT NULL               -- JSON: the whole task: prompts, limits, extraction, scorer
) STRICT;

CREATE TABLE item (
    task     TEXT NOT NULL REFERENCES task (name),
    id       TEXT NOT NULL,              -- content hash of its fields
    position INTEGER NOT NULL,
    fields   TEXT NOT NULL,              -- JSON: the row as the templates saw it
    prompts  TEXT NOT NULL,              -- JSON list: the user's message of each turn
    PRIMARY KEY (task, id)
) STRICT;

CREATE TABLE cell (
    id       TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    system   TEXT NOT NULL REFERENCES system (name),
    task     TEXT NOT NULL REFERENCES task (name),
    scenario TEXT NOT NULL
) STRICT;

-- Every trial that was planned, carried out or not.
CREATE TABLE trial (
    id       TEXT PRIMARY KEY,
    cell_id  TEXT NOT NULL REFERENCES cell (id),
    item_id  TEXT NOT NULL,
    repeat   INTEGER NOT NULL,
    position INTEGER NOT NULL            -- order within the cell
) STRICT, WITHOUT ROWID;

-- One worker process. turn.dispatch_ns is on its clock: record.machine_ns is what compares across workers.
CREATE TABLE worker (
    number      INTEGER PRIMARY KEY,
    session     INTEGER NOT NULL REFERENCES session (number),
    system      TEXT NOT NULL REFERENCES system (name),
    load_ns     INTEGER NOT NULL,        -- until the engine was ready
    info        TEXT NOT NULL,           -- JSON: what the engine reports about itself
    calibration TEXT NOT NULL            -- JSON: the harness's own cost, measured in this process
) STRICT;

-- A worker that ended without being asked to.
CREATE TABLE worker_death (
    worker  INTEGER REFERENCES worker (number),  -- NULL: it crashed before the engine was ready
    session INTEGER NOT NULL REFERENCES session (number),
    system  TEXT NOT NULL REFERENCES system (name),
    reason  TEXT NOT NULL
) STRICT;

-- How the client itself fared over a segment: an uninterrupted part of one cell.
CREATE TABLE segment (
    worker  INTEGER NOT NULL REFERENCES worker (number),
    cell_id TEXT NOT NULL REFERENCES cell (id),
    client  TEXT NOT NULL                -- JSON: loop lag, CPU time, wall time, peak memory
) STRICT;

-- One attempt at one trial, or one warm-up.
CREATE TABLE record (
    trial_id        TEXT NOT NULL,       -- a trial's id; a warm-up and an anchor have an id of their own
    attempt         INTEGER NOT NULL,    -- from 1
    cell_id         TEXT NOT NULL REFERENCES cell (id),
    worker          INTEGER REFERENCES worker (number),
    phase           TEXT NOT NULL CHECK (phase IN ('warm-up', 'measured')),
    started_at      TEXT NOT NULL,
    loop_lag_ns     INTEGER,             -- greatest lag of the client's event loop during the trial
    failure_kind    TEXT,
    failure_message TEXT,
    machine_ns      INTEGER,             -- dispatch on the machine's monotonic clock; NULL: virtual time, nothing sent
    round           INTEGER,             -- counts from 1 in its table; NULL: the systems did not take turns
    place           INTEGER,             -- of its system in that round, from 1
    final           INTEGER,             -- 0: another attempt was to follow; NULL, in files of older formats: as 1
    PRIMARY KEY (trial_id, attempt)
) STRICT, WITHOUT ROWID;

-- One request of a record and what came back.
CREATE TABLE turn (
    trial_id         TEXT NOT NULL,
    attempt          INTEGER NOT NULL,
    turn             INTEGER NOT NULL,   -- from 1
    dispatch_ns      INTEGER NOT NULL,   -- scheduled dispatch on the worker's clock
    send_delay_ns    INTEGER NOT NULL,   -- how much later it really left
    end_ns           INTEGER NOT NULL,   -- since dispatch: last byte of the answer read
    finish_ns        INTEGER,            -- since dispatch: the finish was read (end-of-sequence token)
    finish_reason    TEXT CHECK (finish_reason IN ('stop', 'length')),
    prompt_tokens    INTEGER,
    output_tokens    INTEGER,            -- reasoning and end-of-sequence included
    reasoning_tokens INTEGER,
    cached_tokens    INTEGER,
    token_source     TEXT,
    text             TEXT NOT NULL,
    reasoning        TEXT NOT NULL,
    arrivals         BLOB NOT NULL,      -- per arrival, little-endian: i64 ns since dispatch, u32 visible, u32 reasoning bytes so far
    PRIMARY KEY (trial_id, attempt, turn),
    FOREIGN KEY (trial_id, attempt) REFERENCES record (trial_id, attempt)
) STRICT, WITHOUT ROWID;

-- What the task's scorer made of a record.
CREATE TABLE grade (
    trial_id     TEXT NOT NULL,
    attempt      INTEGER NOT NULL,
    scorer       TEXT NOT NULL,          -- name and version
    outcome      TEXT NOT NULL CHECK (outcome IN
                 ('correct', 'wrong', 'unparsed', 'truncated', 'timeout', 'error', 'completed')),
    answer       TEXT,
    score        REAL,
    detail       TEXT,
    committed_ns INTEGER,                -- since dispatch, over all turns
    PRIMARY KEY (trial_id, attempt),
    FOREIGN KEY (trial_id, attempt) REFERENCES record (trial_id, attempt)
) STRICT, WITHOUT ROWID;

-- A trial of an older system that was asked again beside a system that was added to the run later.
CREATE TABLE anchor (
    id       TEXT PRIMARY KEY,           -- that of its record
    trial_id TEXT NOT NULL REFERENCES trial (id)
) STRICT, WITHOUT ROWID;

CREATE INDEX trial_by_cell ON trial (cell_id, position);

CREATE TRIGGER record_is_final BEFORE UPDATE ON record BEGIN SELECT RAISE(ABORT, 'records are append only'); END;
CREATE TRIGGER record_stays BEFORE DELETE ON record BEGIN SELECT RAISE(ABORT, 'records are append only'); END;
CREATE TRIGGER turn_is_final BEFORE UPDATE ON turn BEGIN SELECT RAISE(ABORT, 'records are append only'); END;
CREATE TRIGGER turn_stays BEFORE DELETE ON turn BEGIN SELECT RAISE(ABORT, 'records are append only'); END;
