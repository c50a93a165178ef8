-- Whether a development stack has written into this database: its accounts have fixed ids, and its people log in at a provider
-- without TLS. Production asks every role's login before it starts; the answer holds nothing of anybody.
create function is_development() returns boolean language sql stable security definer set search_path = public, pg_temp
  return exists (select from login where iss like 'http://%' or account_id::text like '5eed0000-000_-7000-800_-____________');
