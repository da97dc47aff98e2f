-- The newest checkpoint of each other gateway's log, which a gateway writes into its own: whoever rewrites
-- one log, and has its key, then needs those of all that have seen it.
CREATE FUNCTION heads_1(own uuid) RETURNS TABLE (origin text, size bigint, checkpoint text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = grantgate, pg_temp AS $$
    SELECT a.origin, h.size, h.checkpoint FROM audit_log a JOIN replica_beat b USING (replica_id) CROSS JOIN LATERAL
        (SELECT * FROM audit_head n WHERE n.log_id = a.log_id ORDER BY n.size DESC LIMIT 1) h
        WHERE a.replica_id <> own AND octet_length(h.checkpoint) <= 4096
        ORDER BY b.seen DESC LIMIT 1000
$$;

REVOKE ALL ON FUNCTION heads_1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION heads_1 TO grantgate_gateway;
