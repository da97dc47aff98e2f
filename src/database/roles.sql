-- Run this once as an administrator of the server, then set passwords (`\password` in psql):
-- roles are of the whole server, and `grantgate database migrate` makes none.
CREATE ROLE grantgate_owner LOGIN;
CREATE ROLE grantgate_gateway LOGIN CONNECTION LIMIT 500;
CREATE ROLE grantgate_reader LOGIN CONNECTION LIMIT 50;
ALTER ROLE grantgate_gateway SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE grantgate_gateway SET lock_timeout = '5s';
CREATE DATABASE grantgate OWNER grantgate_owner;
REVOKE ALL ON DATABASE grantgate FROM PUBLIC;
GRANT CONNECT ON DATABASE grantgate TO grantgate_owner, grantgate_gateway, grantgate_reader;
