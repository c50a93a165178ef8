-- Which policies decided, and for which login: another set or a later login needs a decision of its own.
alter table use_grant add column policy_version int, add column logged_in_at timestamptz;
drop index use_grant_expires;
create index use_grant_over on use_grant (account_id, user_id, expires_at);
