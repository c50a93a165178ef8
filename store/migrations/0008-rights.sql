-- Row-level security on every table of a tenant, forced, so that even the owner of the tables is held to it.
do $$
declare t text;
begin
  for t in
    select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attname = 'account_id'
      and c.relname not in ('login', 'clock_shift')
  loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I using (account_id = (select current_account())) with check (account_id = (select current_account()))', t);
  end loop;
end $$;
alter table account enable row level security;
alter table account force row level security;
create policy tenant on account using (id = (select current_account())) with check (id = (select current_account()));

-- The loops that find work for every account see which rows are theirs, and no more than that.
create policy relay_queue on obligation to leasehold_relay
  using (kind in ('lease', 'rotation')) with check (kind in ('lease', 'rotation'));
create policy bridge_queue on obligation to leasehold_bridge
  using (kind in ('offer', 'connector')) with check (kind in ('offer', 'connector'));
create policy expirer_due on lease for select to leasehold_expirer using (state = 'active');
create policy sweep_due on identity for select to leasehold_expirer using (next_rotation_at is not null);
create policy bridge_subscriptions on nats_account for select to leasehold_bridge using (true);

grant select on all tables in schema public to leasehold_api, leasehold_worker, leasehold_bridge;
revoke select on join_token from leasehold_worker, leasehold_bridge;
revoke select on login from leasehold_worker, leasehold_bridge;

grant insert, update, delete on organization, organization_secret, account_user, login, idp_user, idp_group, idp_group_member,
  role, role_permission, role_assignment, vault, vault_grant, connector, join_token, host, identity, identity_host,
  credential_version, password_history, exposure to leasehold_api;
grant insert, update on lease, lease_term, rotation, job, obligation, idempotency_record to leasehold_api;
grant insert on audit_event, audit_pending to leasehold_api, leasehold_worker, leasehold_bridge;

grant insert, update on lease, lease_term, exposure, rotation, job, obligation, identity, identity_host, credential_version,
  password_history to leasehold_worker;
grant delete on password_history to leasehold_worker, leasehold_bridge;
grant insert, update on exposure, rotation, job, obligation, identity, identity_host, credential_version, password_history, lease to leasehold_bridge;
grant insert, update on connector, nats_account to leasehold_bridge;

grant select, update on obligation to leasehold_relay;
grant select, update on relay_state to leasehold_relay;
grant select on obligation_kind, clock_shift to leasehold_relay, leasehold_expirer;
grant select (account_id, id, state, expires_at) on lease to leasehold_expirer;
grant select (account_id, id, next_rotation_at) on identity to leasehold_expirer;
