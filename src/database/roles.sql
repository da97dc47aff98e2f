-- Run this with psql as an administrator of the server, then set passwords (`\password` in psql):
-- roles are of the whole server, and `grantgate database migrate` makes none. It can be repeated, and
-- adds what a newer version needs.
--
-- Whoever has the password of a role may change that password, and use up its connections. Where one
-- gateway must not be able to keep others from the database, give each a role of its own that is a
-- member of grantgate_gateway (`CREATE ROLE gateway_north LOGIN IN ROLE grantgate_gateway`).
SELECT format('CREATE ROLE %I LOGIN CONNECTION LIMIT %s', name, most)
    FROM (VALUES ('grantgate_owner', -1), ('grantgate_gateway', 500), ('grantgate_publisher', 50),
                 ('grantgate_reader', 50)) AS wanted (name, most)
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
ALTER ROLE grantgate_gateway SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE grantgate_gateway SET lock_timeout = '5s';
SELECT 'CREATE DATABASE grantgate OWNER grantgate_owner ENCODING ''UTF8'' LOCALE ''C'' TEMPLATE template0'
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'grantgate')
\gexec
REVOKE ALL ON DATABASE grantgate FROM PUBLIC;
GRANT CONNECT ON DATABASE grantgate
    TO grantgate_owner, grantgate_gateway, grantgate_publisher, grantgate_reader;
