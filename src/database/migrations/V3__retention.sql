-- What vouches for the beginning of a log whose oldest records were dropped: its checkpoints, each with
-- the proof that the next one continues it, one JSON object a line, as `pruned.jsonl` of a directory.
CREATE TABLE audit_base (
    log_id    integer PRIMARY KEY REFERENCES audit_log,
    -- The oldest record that is still there: a checkpoint.
    first_seq bigint NOT NULL,
    links     text NOT NULL
);

GRANT SELECT ON audit_base TO grantgate_reader;
