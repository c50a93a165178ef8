create table rotation_state (state text primary key);
insert into rotation_state values ('pending'), ('confirmed'), ('failed'), ('cancelled');
insert into state_transition values
  ('rotation', 'pending', 'confirmed'), ('rotation', 'pending', 'failed'), ('rotation', 'pending', 'cancelled');

create table rotation_trigger (name text primary key);
insert into rotation_trigger values ('manual'), ('scheduled'), ('after_use'), ('break_glass');

create table rotation (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  organization_id uuid not null,
  vault_id uuid not null,
  identity_id uuid not null,
  trigger text not null references rotation_trigger,
  state text not null default 'pending' references rotation_state,
  -- Shown beside the state: queued, staged, waiting, applying, in_doubt, done.
  phase text not null default 'queued' check (phase in ('queued', 'staged', 'waiting', 'applying', 'in_doubt', 'done')),
  needs_attention boolean not null default false,
  -- The one value that this rotation may ever apply.
  staged_version int,
  reason_class text,
  requested_by uuid,
  -- For a scheduled one: the date that was due, from which the next date is counted.
  due_at timestamptz,
  started_at timestamptz not null,
  finished_at timestamptz,
  version int not null default 1,
  request_hash bytea,
  primary key (account_id, id),
  foreign key (account_id, identity_id) references identity (account_id, id),
  foreign key (account_id, requested_by) references account_user (account_id, id)
);
create unique index rotation_open on rotation (account_id, identity_id) where state = 'pending';
create index rotation_identity on rotation (account_id, identity_id, id);
create trigger rotation_transition before update of state on rotation for each row execute function refuse_unknown_transition('rotation');

create table job_state (state text primary key);
insert into job_state values ('waiting'), ('claimed'), ('doubt'), ('confirmed'), ('failed'), ('cancelled');
-- waiting: may be offered; claimed: one instance holds it until lease_until; doubt: nobody knows which version the host has.
insert into state_transition values
  ('job', 'waiting', 'claimed'), ('job', 'waiting', 'failed'), ('job', 'waiting', 'cancelled'),
  ('job', 'claimed', 'confirmed'), ('job', 'claimed', 'failed'), ('job', 'claimed', 'doubt'), ('job', 'claimed', 'waiting'),
  ('job', 'doubt', 'claimed'), ('job', 'doubt', 'confirmed'), ('job', 'doubt', 'failed');

-- One job changes one account on one host for one rotation.
create table job (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  organization_id uuid not null,
  identity_id uuid not null,
  rotation_id uuid not null,
  host_id uuid not null,
  connector_id uuid not null,
  -- reset: set the staged value and verify; probe: log in with the staged, then the known value, change nothing.
  kind text not null default 'reset' check (kind in ('reset', 'probe')),
  state text not null default 'waiting' references job_state,
  -- Grows with every claim; a result of an older epoch is stale.
  epoch int not null default 0,
  instance uuid,
  lease_until timestamptz,
  doubt_since timestamptz,
  attempts int not null default 0,
  next_at timestamptz not null default app_clock(),
  reason_class text,
  offered_at timestamptz,
  claimed_at timestamptz,
  finished_at timestamptz,
  created_at timestamptz not null default app_clock(),
  primary key (account_id, id),
  unique (account_id, rotation_id, host_id),
  check (state not in ('claimed') or (instance is not null and lease_until is not null)),
  foreign key (account_id, rotation_id) references rotation (account_id, id),
  foreign key (account_id, host_id) references host (account_id, id),
  foreign key (account_id, connector_id) references connector (account_id, id),
  foreign key (account_id, identity_id) references identity (account_id, id)
);
create index job_connector on job (account_id, connector_id) where state in ('waiting', 'claimed', 'doubt');
create index job_identity on job (account_id, identity_id);
create trigger job_transition before update of state on job for each row execute function refuse_unknown_transition('job');
