-- What gateways have in common of limits: how many they are, and how much of the budget of a day each
-- has taken for itself. Nothing here is a record of what was granted.

CREATE TABLE budget_day (
    day    date NOT NULL,
    caller text NOT NULL CHECK (length(caller) BETWEEN 1 AND 200),
    PRIMARY KEY (day, caller)
);

-- Grants that a gateway may make without asking again. What it took counts as spent.
CREATE TABLE budget_lease (
    day        date NOT NULL,
    caller     text NOT NULL,
    replica_id uuid NOT NULL REFERENCES replica,
    grants     bigint NOT NULL CHECK (grants >= 0),
    PRIMARY KEY (day, caller, replica_id),
    FOREIGN KEY (day, caller) REFERENCES budget_day ON DELETE CASCADE
);

-- Entrances that a caller was to open on a day.
CREATE TABLE budget_door (
    day      date NOT NULL,
    caller   text NOT NULL,
    entrance uuid NOT NULL,
    PRIMARY KEY (day, caller, entrance),
    FOREIGN KEY (day, caller) REFERENCES budget_day ON DELETE CASCADE
);

-- Refuses who is not the gateway that it says it is.
CREATE FUNCTION check_token(replica uuid, token bytea) RETURNS void
LANGUAGE plpgsql SET search_path = grantgate, pg_temp AS $$
BEGIN
    PERFORM FROM replica r WHERE r.replica_id = replica AND r.token_sha256 = sha256(token);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no gateway has this id and this token' USING ERRCODE = 'GG001';
    END IF;
END $$;

-- How many gateways speak, with the one that asks.
CREATE FUNCTION gateways_1(own uuid) RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
    SELECT 1 + count(*)::integer FROM replica_beat b
        WHERE b.replica_id <> own AND b.seen > clock_timestamp() - interval '10 s' AND b.state NOT IN ('leaving', 'retired')
$$;

-- Takes some of a caller's budget of today, by the clock of the database, for one gateway; and one
-- entrance. `had` is what it has taken on `had_day`, which counts where the database has lost it.
-- Answers what there was of the wanted grants, what the gateway has taken on this day in all, whether the
-- entrance is among those of the day, which day it is and for how many seconds.
CREATE FUNCTION lease_1(
    replica uuid, token bytea, called text, had_day date, had bigint,
    wanted bigint, grants_most bigint, door uuid, doors_most bigint
) RETURNS TABLE (grants bigint, taken bigint, is_in boolean, of_day date, seconds_left float8)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
DECLARE
    today date := today();
    others bigint;
    own bigint;
    -- No budget is larger.
    most CONSTANT bigint := 10000000;
BEGIN
    PERFORM check_token(replica, token);
    INSERT INTO budget_day (day, caller) VALUES (today, called) ON CONFLICT DO NOTHING;
    -- One after the other.
    PERFORM FROM budget_day b WHERE b.day = today AND b.caller = called FOR UPDATE;
    is_in := true;
    IF door IS NOT NULL THEN
        is_in := EXISTS (SELECT FROM budget_door d
                         WHERE d.day = today AND d.caller = called AND d.entrance = door);
        IF NOT is_in AND (doors_most IS NULL OR doors_most >
                (SELECT count(*) FROM budget_door d WHERE d.day = today AND d.caller = called)) THEN
            INSERT INTO budget_door (day, caller, entrance) VALUES (today, called, door);
            is_in := true;
        END IF;
    END IF;
    SELECT coalesce(sum(l.grants) FILTER (WHERE l.replica_id <> replica), 0),
           coalesce(sum(l.grants) FILTER (WHERE l.replica_id = replica), 0)
        INTO others, own
        FROM budget_lease l WHERE l.day = today AND l.caller = called;
    IF had_day = today THEN
        own := greatest(own, least(had, most));
    END IF;
    grants := 0;
    IF is_in THEN
        grants := greatest(0, least(wanted, most, coalesce(grants_most, most) - others - own));
    END IF;
    taken := own + grants;
    INSERT INTO budget_lease AS l (day, caller, replica_id, grants)
        VALUES (today, called, replica, taken)
        ON CONFLICT (day, caller, replica_id) DO UPDATE SET grants = excluded.grants;
    of_day := today;
    seconds_left := extract(epoch FROM (today + 1)::timestamp AT TIME ZONE 'UTC' - clock_timestamp());
    RETURN NEXT;
END $$;

-- Gives back what a gateway took and did not use.
CREATE FUNCTION give_back_1(replica uuid, token bytea, called text, of_day date, unused bigint)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
BEGIN
    PERFORM check_token(replica, token);
    UPDATE budget_lease l SET grants = greatest(0, l.grants - greatest(0, unused))
        WHERE l.day = of_day AND l.caller = called AND l.replica_id = replica;
END $$;

REVOKE ALL ON FUNCTION check_token, gateways_1, lease_1, give_back_1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateways_1, lease_1, give_back_1 TO grantgate_gateway;
GRANT SELECT ON budget_day, budget_lease, budget_door TO grantgate_reader;
