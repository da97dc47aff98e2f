-- What vouches for the beginning of a log whose oldest records were dropped: its checkpoints, each with
-- the proof that the next one continues it, one JSON object a line, as `pruned.jsonl` of a directory.
CREATE TABLE audit_base (
    log_id    integer PRIMARY KEY REFERENCES audit_log,
    -- The oldest record that is still there: a checkpoint.
    first_seq bigint NOT NULL,
    links     text NOT NULL
);

GRANT SELECT ON audit_base TO grantgate_reader;

-- Keeps what vouches for the beginning of a log that was pruned before it came here: nothing of it is here
-- yet, and it will begin with `first`.
CREATE FUNCTION base_1(log integer, token bytea, first bigint, vouching text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
DECLARE
    own audit_log := own_log(log, token);
BEGIN
    IF octet_length(vouching) > 67108864 THEN
        RAISE EXCEPTION 'what vouches for the log % has more than 64 MiB', own.origin USING ERRCODE = 'GG003';
    END IF;
    IF own.next_seq = 1 AND first > 1 THEN
        INSERT INTO audit_base (log_id, first_seq, links) VALUES (log, first, vouching)
            ON CONFLICT (log_id) DO UPDATE SET first_seq = excluded.first_seq, links = excluded.links;
    END IF;
END $$;

REVOKE ALL ON FUNCTION base_1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION base_1 TO grantgate_gateway;
