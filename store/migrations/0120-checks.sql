-- Whether what is vaulted still logs in, found out on a schedule of the identity or when somebody asks.
alter table identity add column check_interval_hours int check (check_interval_hours between 1 and 8760);
alter table identity add column reconcile_drift boolean not null default false;
alter table identity add column next_check_at timestamptz;
create index identity_check_due on identity (next_check_at, id) where next_check_at is not null;
create policy check_due on identity for select to leasehold_expirer using (next_check_at is not null);
grant select (next_check_at) on identity to leasehold_expirer;

-- sync says what is proven of the known version; these say when a login last proved or disproved it, and since when none gets an answer.
alter table identity_host add column checked_at timestamptz, add column unreachable_since timestamptz;
create index identity_host_unwell on identity_host (account_id, identity_id) where sync = 'drifted' or unreachable_since is not null;
create policy unwell on identity_host for select to leasehold_expirer using (sync = 'drifted' or unreachable_since is not null);
grant select (account_id, identity_id, sync, unreachable_since) on identity_host to leasehold_expirer;

insert into rotation_trigger values ('drift');

insert into state_transition values
  ('credential_check', 'waiting', 'claimed'), ('credential_check', 'waiting', 'done'), ('credential_check', 'waiting', 'cancelled'),
  ('credential_check', 'claimed', 'waiting'), ('credential_check', 'claimed', 'done'), ('credential_check', 'claimed', 'cancelled'),
  ('credential_check', 'done', 'waiting'), ('credential_check', 'cancelled', 'waiting');

-- The check of one account on one host: one row, asked anew each time, so that checks by the hour leave nothing behind but the audit log.
create table credential_check (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  organization_id uuid not null,
  vault_id uuid not null,
  identity_id uuid not null,
  host_id uuid not null,
  connector_id uuid not null,
  -- The one that is tried. A result counts only while it is still the one that the host is known to have.
  version int not null,
  state text not null default 'waiting' check (state in ('waiting', 'claimed', 'done', 'cancelled')),
  -- Grows with every claim, also over checks; a result of an older epoch is stale.
  epoch int not null default 0,
  -- Of this time: claims, and offers that nobody has answered.
  claims int not null default 0,
  offers int not null default 0,
  instance uuid,
  lease_until timestamptz,
  -- Null: the schedule.
  requested_by uuid,
  outcome text check (outcome in ('in_sync', 'drifted', 'unreachable', 'unknown')),
  reason_class text,
  requested_at timestamptz not null default app_clock(),
  claimed_at timestamptz,
  finished_at timestamptz,
  primary key (account_id, id),
  unique (account_id, identity_id, host_id),
  check (state <> 'claimed' or (instance is not null and lease_until is not null)),
  check ((state = 'done') = (outcome is not null)),
  foreign key (account_id, identity_id) references identity (account_id, id),
  foreign key (account_id, host_id) references host (account_id, id),
  foreign key (account_id, connector_id) references connector (account_id, id),
  foreign key (account_id, requested_by) references account_user (account_id, id)
);
create index credential_check_host on credential_check (account_id, host_id) where state in ('waiting', 'claimed');
create index credential_check_connector on credential_check (account_id, connector_id) where state = 'claimed';
create trigger credential_check_transition before update of state on credential_check for each row execute function refuse_unknown_transition('credential_check');

alter table credential_check enable row level security;
alter table credential_check force row level security;
create policy tenant on credential_check using (account_id = (select current_account())) with check (account_id = (select current_account()));
grant select, insert, update on credential_check to leasehold_api, leasehold_worker;
grant select, update on credential_check to leasehold_bridge;
