-- For all gateways: bundles of policies that their authors signed, with their files, and signed orders.
--
-- Nothing here is trusted by who reads it. What the functions check is form, so that a mistake is met
-- where it is made; whose signatures count is known to gateways and authors alone.

CREATE TABLE bundle_file (
    sha256  bytea PRIMARY KEY,
    content bytea NOT NULL CHECK (sha256 = sha256(content) AND length(content) <= 67108864)
);

-- A text that somebody has signed, to be looked at and signed by others.
CREATE TABLE proposal (
    digest bytea PRIMARY KEY CHECK (digest = sha256(convert_to(text, 'UTF8'))),
    number bigint NOT NULL CHECK (number > 0),
    text   text NOT NULL CHECK (octet_length(text) <= 65536),
    made   timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX ON proposal (number);

CREATE TABLE approval (
    digest bytea NOT NULL REFERENCES proposal,
    line   text NOT NULL CHECK (octet_length(line) <= 1024),
    made   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (digest, line)
);

-- What gateways are to have in force: the one with the highest number.
CREATE TABLE bundle (
    number   bigint PRIMARY KEY CHECK (number BETWEEN 1 AND 9007199254740991),
    digest   bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    note     text NOT NULL CHECK (octet_length(note) <= 65536),
    promoted timestamptz NOT NULL DEFAULT now(),
    -- The names of the gateways that it is for; for all where there are none.
    only_for text[] CHECK (cardinality(only_for) > 0)
);

-- Orders for all gateways: freezes, exceptions, and taking them back.
CREATE TABLE directive (
    -- Without gaps, and in the order in which they can be seen: given out under a lock.
    place  bigint PRIMARY KEY,
    -- Of the text with its signatures.
    digest bytea NOT NULL UNIQUE CHECK (digest = sha256(convert_to(note, 'UTF8'))),
    note   text NOT NULL CHECK (octet_length(note) <= 65536),
    made   timestamptz NOT NULL DEFAULT now()
);

-- Those that have too few signatures yet.
CREATE TABLE directive_proposal (
    digest bytea PRIMARY KEY CHECK (digest = sha256(convert_to(text, 'UTF8'))),
    text   text NOT NULL CHECK (octet_length(text) <= 65536),
    made   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE directive_approval (
    digest bytea NOT NULL REFERENCES directive_proposal,
    line   text NOT NULL CHECK (octet_length(line) <= 1024),
    made   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (digest, line)
);

ALTER TABLE replica_beat
    -- The bundle in force.
    ADD COLUMN bundle         bigint,
    -- One that was offered and is not in force, and why.
    ADD COLUMN bundle_refused bigint,
    ADD COLUMN bundle_problem text,
    -- Up to which place it follows signed orders.
    ADD COLUMN directives     bigint,
    ADD COLUMN directive_digest bytea,
    -- Why one of these is not followed.
    ADD COLUMN directive_problem text;

-- The newest bundle for a gateway of this name.
CREATE FUNCTION newest_bundle_1(called text) RETURNS TABLE (number bigint, digest bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
    SELECT b.number, b.digest FROM bundle b WHERE b.only_for IS NULL OR called = ANY (b.only_for)
    ORDER BY b.number DESC LIMIT 1
$$;

CREATE FUNCTION bundle_note_1(wanted bytea) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
    SELECT b.note FROM bundle b WHERE b.digest = wanted
$$;

CREATE FUNCTION bundle_file_1(wanted bytea) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
    SELECT f.content FROM bundle_file f WHERE f.sha256 = wanted
$$;

-- Signed orders behind a place.
CREATE FUNCTION directives_1(behind bigint) RETURNS TABLE (place bigint, note text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
    SELECT d.place, d.note FROM directive d WHERE d.place > behind ORDER BY d.place LIMIT 200
$$;

-- Says how a gateway is, and answers which bundle it is to have, and the place of the newest order.
CREATE FUNCTION beat_2(
    replica uuid, token bytea, version text, address text, state text, revision text,
    durable bigint, confirmed bigint, clock timestamptz,
    in_force bigint, refused bigint, problem text, followed bigint,
    followed_digest bytea, unfollowed text
) RETURNS TABLE (number bigint, digest bytea, directives bigint, newest_digest bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
BEGIN
    PERFORM beat_1(replica, token, version, address, state, revision, durable, confirmed, clock);
    UPDATE replica_beat b
        SET bundle = in_force, bundle_refused = refused, bundle_problem = left(problem, 2000),
            directives = followed, directive_digest = followed_digest, directive_problem = left(unfollowed, 2000)
        WHERE b.replica_id = replica;
    RETURN QUERY SELECT n.number, n.digest, coalesce(d.place, 0), d.digest
        FROM replica r LEFT JOIN newest_bundle_1(r.name) n ON true
        LEFT JOIN (SELECT * FROM directive ORDER BY place DESC LIMIT 1) d ON true
        WHERE r.replica_id = replica;
END $$;

-- Keeps a file of a bundle that is to be proposed.
CREATE FUNCTION put_file_1(file_sha256 bytea, file_content bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
    INSERT INTO bundle_file (sha256, content) VALUES (file_sha256, file_content)
        ON CONFLICT (sha256) DO NOTHING
$$;

-- Adds a signature to a text that is proposed, or proposes it.
CREATE FUNCTION sign_1(signed_number bigint, signed_text text, signature text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
DECLARE
    own bytea := sha256(convert_to(signed_text, 'UTF8'));
BEGIN
    INSERT INTO proposal (digest, number, text) VALUES (own, signed_number, signed_text)
        ON CONFLICT (digest) DO NOTHING;
    INSERT INTO approval (digest, line) VALUES (own, signature) ON CONFLICT DO NOTHING;
END $$;

-- Gives a bundle to gateways: to all, or to those of some names. It must have been made from the
-- newest one, or be that one; so two that were made from the same one never both count.
CREATE FUNCTION promote_1(own_number bigint, own bytea, parent bytea, own_note text, names text[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
DECLARE
    newest bundle;
BEGIN
    LOCK TABLE bundle IN SHARE ROW EXCLUSIVE MODE;
    SELECT * INTO newest FROM bundle b ORDER BY b.number DESC LIMIT 1;
    IF newest.digest = own THEN
        -- Who has it would be told to have an older one.
        IF names IS NOT NULL AND NOT coalesce(newest.only_for <@ names, false) THEN
            RAISE EXCEPTION 'bundle % is given to other gateways already', own_number USING ERRCODE = 'GG004';
        END IF;
        UPDATE bundle b SET only_for = names, promoted = now() WHERE b.number = newest.number;
    ELSIF newest.digest IS DISTINCT FROM parent OR own_number <> coalesce(newest.number, 0) + 1 THEN
        RAISE EXCEPTION 'the newest bundle is %, and this one was made from another: push it again, so that '
            'what it changes is looked at anew', coalesce(newest.number, 0) USING ERRCODE = 'GG004';
    ELSE
        INSERT INTO bundle (number, digest, note, only_for) VALUES (own_number, own, own_note, names);
    END IF;
    PERFORM pg_notify('grantgate_heads', own_number::text);
END $$;

-- Puts back a bundle that gateways have, and the database has lost.
CREATE FUNCTION restore_1(own_number bigint, own bytea, own_note text, names text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
DECLARE
    newest bundle;
BEGIN
    LOCK TABLE bundle IN SHARE ROW EXCLUSIVE MODE;
    SELECT * INTO newest FROM bundle b ORDER BY b.number DESC LIMIT 1;
    IF newest.digest = own THEN
        RETURN;
    ELSIF own_number <= newest.number THEN
        RAISE EXCEPTION 'the newest bundle is % already', newest.number USING ERRCODE = 'GG004';
    END IF;
    INSERT INTO bundle (number, digest, note, only_for) VALUES (own_number, own, own_note, names);
    PERFORM pg_notify('grantgate_heads', own_number::text);
END $$;

-- Gives a signed order to all gateways.
CREATE FUNCTION direct_1(own_note text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
DECLARE
    own bytea := sha256(convert_to(own_note, 'UTF8'));
    own_place bigint;
BEGIN
    LOCK TABLE directive IN SHARE ROW EXCLUSIVE MODE;
    SELECT d.place INTO own_place FROM directive d WHERE d.digest = own;
    IF own_place IS NULL THEN
        SELECT coalesce(max(d.place), 0) + 1 INTO own_place FROM directive d;
        INSERT INTO directive (place, digest, note) VALUES (own_place, own, own_note);
        PERFORM pg_notify('grantgate_heads', 'directive');
    END IF;
    RETURN own_place;
END $$;

-- Adds a signature to an order that has too few, or proposes it.
CREATE FUNCTION sign_directive_1(signed_text text, signature text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
DECLARE
    own bytea := sha256(convert_to(signed_text, 'UTF8'));
BEGIN
    INSERT INTO directive_proposal (digest, text) VALUES (own, signed_text) ON CONFLICT (digest) DO NOTHING;
    INSERT INTO directive_approval (digest, line) VALUES (own, signature) ON CONFLICT DO NOTHING;
END $$;

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'grantgate_publisher') THEN
        RAISE EXCEPTION 'there is no role grantgate_publisher: an administrator runs what `grantgate '
            'database roles` prints once more';
    END IF;
END $$;

GRANT USAGE ON SCHEMA grantgate TO grantgate_publisher;
REVOKE ALL ON FUNCTION newest_bundle_1, bundle_note_1, bundle_file_1, directives_1, beat_2, put_file_1, sign_1,
    promote_1, restore_1, direct_1, sign_directive_1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION newest_bundle_1, bundle_note_1, bundle_file_1, directives_1, beat_2 TO grantgate_gateway;
GRANT EXECUTE ON FUNCTION put_file_1, sign_1, promote_1, restore_1, direct_1, sign_directive_1
    TO grantgate_publisher;
GRANT SELECT ON bundle, bundle_file, proposal, approval, directive, directive_proposal, directive_approval
    TO grantgate_publisher, grantgate_reader;
GRANT SELECT (replica_id, name, first_seen) ON replica TO grantgate_publisher;
GRANT SELECT ON replica_beat TO grantgate_publisher;
