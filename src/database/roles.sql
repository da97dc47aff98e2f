-- Run this once as an administrator of the server, then set passwords (`\password` in psql):
-- roles are of the whole server, and `grantgate database migrate` makes none.
--
-- Whoever has the password of a role may change that password, and use up its connections. Where one
-- gateway must not be able to keep others from the database, give each a role of its own that is a
-- member of grantgate_gateway (`CREATE ROLE gateway_north LOGIN IN ROLE grantgate_gateway`).
CREATE ROLE grantgate_owner LOGIN;
CREATE ROLE grantgate_gateway LOGIN CONNECTION LIMIT 500;
CREATE ROLE grantgate_reader LOGIN CONNECTION LIMIT 50;
ALTER ROLE grantgate_gateway SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE grantgate_gateway SET lock_timeout = '5s';
CREATE DATABASE grantgate OWNER grantgate_owner ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0;
REVOKE ALL ON DATABASE grantgate FROM PUBLIC;
GRANT CONNECT ON DATABASE grantgate TO grantgate_owner, grantgate_gateway, grantgate_reader;
