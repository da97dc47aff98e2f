-- A mirror of every gateway's audit log, to search in one place, and a register of gateways.
--
-- The log of a gateway stays the log. What is here was sent by gateways, is only added to, and can be
-- held against the logs and their signed checkpoints at any time.

CREATE TABLE replica (
    replica_id uuid PRIMARY KEY,
    name       text NOT NULL,
    -- Of what only its data directory has: nobody else speaks for it, nor adds to its log.
    token_sha256 bytea NOT NULL CHECK (length(token_sha256) = 32),
    first_seen timestamptz NOT NULL DEFAULT now()
);

-- Apart from `replica`, and with room in each page: a beat each second must stay a HOT update.
CREATE TABLE replica_beat (
    replica_id    uuid PRIMARY KEY REFERENCES replica,
    seen          timestamptz NOT NULL,
    version       text NOT NULL,
    address       text,
    state         text NOT NULL,
    revision      text,
    durable_seq   bigint NOT NULL,
    confirmed_seq bigint NOT NULL,
    skew_ms       bigint NOT NULL
) WITH (fillfactor = 20);

CREATE TABLE audit_log (
    log_id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- A data directory has one log, also when it is signed with another key from some record on.
    replica_id   uuid NOT NULL UNIQUE REFERENCES replica,
    origin       text NOT NULL UNIQUE,
    verifier_key text NOT NULL,
    -- The record that comes next. Moved only by who says what it is now.
    next_seq     bigint NOT NULL DEFAULT 1 CHECK (next_seq > 0),
    last_day     date NOT NULL DEFAULT '-infinity',
    shipped_at   timestamptz
) WITH (fillfactor = 50);

-- `line` is the line of the log, unchanged. The other columns say the same, to be searched for, and
-- are compared with it by `grantgate audit verify`.
CREATE TABLE audit_record (
    -- Never falls within one log, so that dropping the oldest partition cuts off a beginning.
    day             date NOT NULL,
    log_id          integer NOT NULL,
    seq             bigint NOT NULL,
    time            timestamptz NOT NULL,
    event           text NOT NULL,
    request_id      text,
    caller          text,
    workspace       text,
    entrance        uuid,
    grantee         text,
    decision        text,
    reason          text,
    outcome         text,
    decision_seq    bigint,
    seam_request_id text,
    idempotency_key text,
    line            text NOT NULL,
    PRIMARY KEY (log_id, seq, day)
) PARTITION BY RANGE (day);

CREATE INDEX ON audit_record (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX ON audit_record (caller, time) WHERE caller IS NOT NULL;
CREATE INDEX ON audit_record (entrance, time) WHERE entrance IS NOT NULL;
CREATE INDEX ON audit_record (grantee, time) WHERE grantee IS NOT NULL;
CREATE INDEX ON audit_record (seam_request_id) WHERE seam_request_id IS NOT NULL;
CREATE INDEX ON audit_record (log_id, decision_seq) WHERE decision_seq IS NOT NULL;
CREATE INDEX ON audit_record (time) WHERE outcome = 'unknown';
-- Few, and what is asked for most.
CREATE INDEX ON audit_record (log_id, seq) WHERE decision = 'deny';
CREATE INDEX ON audit_record (log_id, reason, seq) WHERE reason <> 'allowed-by-rule';
-- What is neither a request nor what became of one: few, and searched for beside them.
CREATE INDEX ON audit_record (log_id, event, time) WHERE event NOT IN ('grant.decision', 'grant.outcome');
-- Small, and enough to pass over a partition that has nothing of a range of times.
CREATE INDEX ON audit_record USING brin (time);

CREATE TABLE audit_partition (
    name     text PRIMARY KEY,
    from_day date NOT NULL UNIQUE,
    to_day   date NOT NULL
);

-- Every checkpoint that was signed: out of the reach of who can change a gateway's disk.
CREATE TABLE audit_head (
    log_id     integer NOT NULL REFERENCES audit_log,
    size       bigint NOT NULL,
    checkpoint text NOT NULL,
    received   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (log_id, size)
);

-- What a gateway says it will never send.
CREATE TABLE audit_gap (
    log_id    integer NOT NULL REFERENCES audit_log,
    first_seq bigint NOT NULL,
    last_seq  bigint NOT NULL CHECK (last_seq >= first_seq),
    seen      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (log_id, first_seq)
);

-- The day of the database's clock, whatever zone a session has.
CREATE FUNCTION today() RETURNS date
LANGUAGE sql STABLE SET search_path = grantgate, pg_temp AS $$ SELECT (now() AT TIME ZONE 'UTC')::date $$;

-- Partitions of an ISO week each, from the last that there is to `weeks` after this one: what was not
-- made in time is made up for.
CREATE FUNCTION make_partitions(weeks integer) RETURNS integer
LANGUAGE plpgsql SET search_path = grantgate, pg_temp AS $$
DECLARE
    week date := date_trunc('week', least(today(), (SELECT max(to_day) FROM audit_partition))::timestamp);
    made integer := 0;
    called text;
BEGIN
    LOCK TABLE audit_partition IN SHARE ROW EXCLUSIVE MODE;
    WHILE week <= today() + 7 * weeks LOOP
        called := 'audit_record_' || to_char(week, 'IYYY"w"IW');
        IF NOT EXISTS (SELECT FROM audit_partition p WHERE p.name = called) THEN
            -- Attached, and not made as a partition: that would wait for whoever reads, and all who
            -- add would wait behind.
            EXECUTE format('CREATE TABLE %I (LIKE audit_record INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', called);
            EXECUTE format('ALTER TABLE audit_record ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           called, week, week + 7);
            INSERT INTO audit_partition (name, from_day, to_day) VALUES (called, week, week + 7);
            made := made + 1;
        END IF;
        week := week + 7;
    END LOOP;
    RETURN made;
END $$;

SELECT make_partitions(6);

-- Introduces a gateway and its log; what there is of the log is in the answer.
CREATE FUNCTION hello_1(replica uuid, called text, log_origin text, log_key text, token bytea)
RETURNS TABLE (log integer, next bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
DECLARE
    known replica%ROWTYPE;
    own audit_log;
BEGIN
    INSERT INTO replica (replica_id, name, token_sha256) VALUES (replica, called, sha256(token))
        ON CONFLICT (replica_id) DO NOTHING;
    SELECT * INTO known FROM replica r WHERE r.replica_id = replica AND r.token_sha256 = sha256(token)
        FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'another data directory has the id %', replica USING ERRCODE = 'GG001';
    END IF;
    IF known.name <> called THEN
        UPDATE replica r SET name = called WHERE r.replica_id = replica;
    END IF;
    IF EXISTS (SELECT FROM audit_log a WHERE a.origin = log_origin AND a.replica_id <> replica) THEN
        RAISE EXCEPTION 'another data directory has a log of the name %: each needs a signing key of '
            'its own, which is made where audit.signing_key_file is not set', log_origin
            USING ERRCODE = 'GG001';
    END IF;
    INSERT INTO audit_log (replica_id, origin, verifier_key) VALUES (replica, log_origin, log_key)
        ON CONFLICT (replica_id) DO NOTHING;
    SELECT * INTO own FROM audit_log a WHERE a.replica_id = replica;
    IF (own.origin, own.verifier_key) IS DISTINCT FROM (log_origin, log_key) THEN
        UPDATE audit_log a SET origin = log_origin, verifier_key = log_key WHERE a.replica_id = replica;
    END IF;
    RETURN QUERY SELECT own.log_id, own.next_seq;
END $$;

-- The log whose token this is, locked until the end of the transaction.
CREATE FUNCTION own_log(log integer, token bytea) RETURNS audit_log
LANGUAGE plpgsql SET search_path = grantgate, pg_temp AS $$
DECLARE
    own audit_log;
BEGIN
    SELECT a.* INTO own FROM audit_log a JOIN replica r USING (replica_id)
        WHERE a.log_id = log AND r.token_sha256 = sha256(token) FOR UPDATE OF a;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no log has this number and this token' USING ERRCODE = 'GG001';
    END IF;
    RETURN own;
END $$;

-- Adds records that follow one another, from `first` on, and answers what comes next. Those that are
-- there already must be the same, byte for byte. If some before `first` are missing, none is added.
CREATE FUNCTION append_1(
    log integer, token bytea, first bigint,
    times timestamptz[], events text[], request_ids text[], callers text[], workspaces text[],
    entrances uuid[], grantees text[], decisions text[], reasons text[], outcomes text[],
    decision_seqs bigint[], seam_request_ids text[], idempotency_keys text[], lines text[]
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
DECLARE
    own audit_log := own_log(log, token);
    count bigint := cardinality(lines);
    oldest date;
    newest date;
    different bigint;
BEGIN
    IF first > own.next_seq THEN
        RETURN own.next_seq;
    END IF;
    SELECT first + sent.place - 1 INTO different
        FROM unnest(lines) WITH ORDINALITY AS sent(line, place)
        JOIN audit_record r ON r.log_id = log AND r.seq = first + sent.place - 1
        WHERE first + sent.place - 1 < own.next_seq AND r.line <> sent.line
        ORDER BY sent.place LIMIT 1;
    IF different IS NOT NULL THEN
        RAISE EXCEPTION 'record % of the log % is here already and differs', different, own.origin
            USING ERRCODE = 'GG003';
    END IF;
    IF first + count <= own.next_seq THEN
        RETURN own.next_seq;
    END IF;
    SELECT min(p.from_day) INTO oldest FROM audit_partition p;
    WITH sent AS (
        SELECT * FROM unnest(times, events, request_ids, callers, workspaces, entrances, grantees,
                             decisions, reasons, outcomes, decision_seqs, seam_request_ids,
                             idempotency_keys, lines) WITH ORDINALITY AS s(
            time, event, request_id, caller, workspace, entrance, grantee, decision, reason, outcome,
            decision_seq, seam_request_id, idempotency_key, line, place)
        WHERE first + s.place - 1 >= own.next_seq
    ), added AS (
        INSERT INTO audit_record
        SELECT greatest(own.last_day, oldest, max(least((time AT TIME ZONE 'UTC')::date,
                                                        today() + 1)) OVER (ORDER BY place)),
               log, first + place - 1, time, event, request_id, caller, workspace, entrance, grantee,
               decision, reason, outcome, decision_seq, seam_request_id, idempotency_key, line
        FROM sent
        RETURNING day, time
    )
    SELECT max(day) INTO newest FROM added;
    UPDATE audit_log a SET next_seq = first + count, last_day = newest, shipped_at = clock_timestamp()
        WHERE a.log_id = log;
    RETURN first + count;
END $$;

-- Names records that will never come, and answers what comes next.
CREATE FUNCTION gap_1(log integer, token bytea, first bigint, last bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
DECLARE
    own audit_log := own_log(log, token);
BEGIN
    IF first <> own.next_seq OR last < first THEN
        RETURN own.next_seq;
    END IF;
    INSERT INTO audit_gap (log_id, first_seq, last_seq) VALUES (log, first, last);
    UPDATE audit_log a SET next_seq = last + 1 WHERE a.log_id = log;
    RETURN last + 1;
END $$;

-- Keeps a signed checkpoint. One of the same size that differs is kept out, and told.
CREATE FUNCTION head_1(log integer, token bytea, tree_size bigint, note text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
DECLARE
    own audit_log := own_log(log, token);
    kept text;
BEGIN
    INSERT INTO audit_head (log_id, size, checkpoint) VALUES (log, tree_size, note)
        ON CONFLICT (log_id, size) DO NOTHING;
    SELECT h.checkpoint INTO kept FROM audit_head h WHERE h.log_id = log AND h.size = tree_size;
    IF kept <> note THEN
        RAISE EXCEPTION 'another checkpoint of % records of the log % is here', tree_size, own.origin
            USING ERRCODE = 'GG003';
    END IF;
END $$;

-- Says how a gateway is.
CREATE FUNCTION beat_1(
    replica uuid, token bytea, version text, address text, state text, revision text,
    durable bigint, confirmed bigint, clock timestamptz
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
DECLARE
    skew bigint := extract(epoch FROM clock - clock_timestamp()) * 1000;
BEGIN
    PERFORM FROM replica r WHERE r.replica_id = replica AND r.token_sha256 = sha256(token);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no gateway has this id and this token' USING ERRCODE = 'GG001';
    END IF;
    INSERT INTO replica_beat VALUES (replica, clock_timestamp(), version, address, state, revision,
                                     durable, confirmed, skew)
        ON CONFLICT (replica_id) DO UPDATE SET
            seen = excluded.seen, version = excluded.version, address = excluded.address,
            state = excluded.state, revision = excluded.revision,
            durable_seq = excluded.durable_seq, confirmed_seq = excluded.confirmed_seq,
            skew_ms = excluded.skew_ms;
END $$;

-- What may be read: without tokens.
CREATE VIEW log AS
    SELECT a.log_id, a.replica_id, r.name, a.origin, a.verifier_key, a.next_seq, a.shipped_at
    FROM audit_log a JOIN replica r USING (replica_id);

GRANT USAGE ON SCHEMA grantgate TO grantgate_gateway, grantgate_reader;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA grantgate FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hello_1, append_1, gap_1, head_1, beat_1 TO grantgate_gateway;
GRANT SELECT (replica_id, name, first_seen) ON replica TO grantgate_reader;
GRANT SELECT ON refinery_schema_history, log, replica_beat, audit_record, audit_partition, audit_head, audit_gap
    TO grantgate_reader;
