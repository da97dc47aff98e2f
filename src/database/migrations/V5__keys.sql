-- Idempotency keys, so that a retry that comes to another gateway is not sent again. What is here is a
-- digest of a caller with its key, and of what it asked for.
CREATE TABLE idempotency_key (
    digest     bytea PRIMARY KEY CHECK (length(digest) = 32),
    asked      bytea NOT NULL CHECK (length(asked) = 32),
    -- Who sends, or sent, it.
    replica_id uuid NOT NULL REFERENCES replica,
    -- Which of its tries.
    attempt    bigint NOT NULL,
    state      text NOT NULL CHECK (state IN ('sending', 'granted', 'unknown')),
    decision_seq bigint,
    claimed    timestamptz NOT NULL DEFAULT now(),
    until      timestamptz NOT NULL
);

CREATE INDEX ON idempotency_key (replica_id, decision_seq);
CREATE INDEX ON idempotency_key (until);

-- Claims a key for one gateway, unless another one has it: then tells what became of it there. One that
-- is not settled after `sending_s` seconds is unknown: its gateway was killed, or is cut off.
CREATE FUNCTION claim_key_1(
    replica uuid, token bytea, key_digest bytea, key_asked bytea, own_attempt bigint, window_s bigint,
    sending_s float8
) RETURNS TABLE (is_own boolean, is_same boolean, by_replica uuid, became text, seq bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
DECLARE
    known idempotency_key;
    -- Nobody else may have it while it is sent.
    lasts float8 := greatest(least(window_s, 604800), least(sending_s, 600));
BEGIN
    PERFORM check_token(replica, token);
    INSERT INTO idempotency_key AS k (digest, asked, replica_id, attempt, state, until)
        VALUES (key_digest, key_asked, replica, own_attempt, 'sending', now() + lasts * interval '1 s')
        ON CONFLICT (digest) DO UPDATE
            SET asked = excluded.asked, replica_id = excluded.replica_id, attempt = excluded.attempt,
                state = excluded.state, decision_seq = NULL, claimed = now(), until = excluded.until
            -- What became of it stays, also where its gateway has forgotten it.
            WHERE (k.replica_id = replica AND k.state = 'sending') OR k.until <= now();
    SELECT * INTO known FROM idempotency_key k WHERE k.digest = key_digest;
    RETURN QUERY SELECT known.replica_id = replica AND known.attempt = own_attempt, known.asked = key_asked, known.replica_id,
        CASE WHEN known.state = 'sending' AND known.claimed < now() - sending_s * interval '1 s'
             THEN 'unknown' ELSE known.state END, known.decision_seq;
END $$;

-- Says what became of a try of a key that a gateway claimed, and says nothing of a later one. Nothing was
-- changed where `became` is null: whoever asks next may send it.
CREATE FUNCTION settle_key_1(
    replica uuid, token bytea, key_digest bytea, key_asked bytea, own_attempt bigint, window_s bigint,
    became text, seq bigint
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
BEGIN
    PERFORM check_token(replica, token);
    IF became IS NULL THEN
        DELETE FROM idempotency_key k
            WHERE k.digest = key_digest AND k.replica_id = replica AND k.attempt = own_attempt;
        RETURN;
    END IF;
    -- Also where the claim was lost.
    INSERT INTO idempotency_key AS k (digest, asked, replica_id, attempt, state, decision_seq, until)
        VALUES (key_digest, key_asked, replica, own_attempt, became, seq,
                now() + least(window_s, 604800) * interval '1 s')
        ON CONFLICT (digest) DO UPDATE
            SET asked = excluded.asked, replica_id = excluded.replica_id, attempt = excluded.attempt,
                state = excluded.state, decision_seq = excluded.decision_seq, until = excluded.until
            WHERE (k.replica_id = replica AND k.attempt = own_attempt) OR k.until <= now();
END $$;

-- Says what was found out of an unknown outcome.
CREATE FUNCTION resolve_key_1(replica uuid, token bytea, seq bigint, became text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
BEGIN
    PERFORM check_token(replica, token);
    IF became IS NULL THEN
        DELETE FROM idempotency_key k WHERE k.replica_id = replica AND k.decision_seq = seq AND k.state = 'unknown';
    ELSE
        UPDATE idempotency_key k SET state = became
            WHERE k.replica_id = replica AND k.decision_seq = seq AND k.state = 'unknown';
    END IF;
END $$;

REVOKE ALL ON FUNCTION claim_key_1, settle_key_1, resolve_key_1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_key_1, settle_key_1, resolve_key_1 TO grantgate_gateway;
GRANT SELECT ON idempotency_key TO grantgate_reader;
