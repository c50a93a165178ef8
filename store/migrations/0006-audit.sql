create table audit_event (
  account_id uuid not null default current_account() references account,
  id uuid not null default uuidv7(),
  at timestamptz not null default app_clock(),
  actor_kind text not null check (actor_kind in ('user', 'client', 'connector', 'workflow', 'system')),
  actor_id text,
  actor_iss text,
  actor_sub text,
  action text not null,
  purpose text,
  effect text not null check (effect in ('permit', 'deny')),
  outcome text not null,
  organization_id uuid,
  vault_id uuid,
  identity_id uuid,
  host_id uuid,
  user_id uuid,
  lease_id uuid,
  rotation_id uuid,
  session_id uuid,
  request_id uuid,
  connector_id uuid,
  reason_ciphertext bytea,
  reason_key_id text,
  requested_minutes int,
  expires_at timestamptz,
  break_glass boolean not null default false,
  decision_id uuid,
  correlation_id text,
  trace_id text,
  ip inet,
  user_agent text,
  -- HMAC of the canonical URI of the resource: what outsiders may join on.
  resource_ref text,
  -- Small facts without secrets: versions, states, codes.
  detail jsonb,
  primary key (account_id, id)
);
create index audit_event_lease on audit_event (account_id, lease_id) where lease_id is not null;
create index audit_event_rotation on audit_event (account_id, rotation_id) where rotation_id is not null;
create trigger audit_event_unchangeable before update or delete on audit_event for each row execute function refuse_change();
create trigger audit_event_untruncatable before truncate on audit_event for each statement execute function refuse_change();

-- What the sealer has not yet put into the account's tree.
create table audit_pending (
  account_id uuid not null,
  event_id uuid not null,
  primary key (account_id, event_id),
  foreign key (account_id, event_id) references audit_event (account_id, id)
);
create function queue_for_sealing() returns trigger language plpgsql as $$
begin
  insert into audit_pending values (new.account_id, new.id);
  return null;
end $$;
create trigger audit_event_pending after insert on audit_event for each row execute function queue_for_sealing();
