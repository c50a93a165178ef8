create table lease_state (state text primary key);
insert into lease_state values ('active'), ('ended');
insert into state_transition values ('lease', 'active', 'ended');

create table lease_end_cause (cause text primary key);
insert into lease_end_cause values
  ('checked_in'), ('expired'), ('forced'), ('revoked'), ('grant_ended'), ('emergency'), ('superseded');

create table lease_mode (mode text primary key);
insert into lease_mode values ('standard'), ('break_glass'), ('support');

create table lease (
  account_id uuid not null default current_account(),
  -- uuidv5(account, subject, Idempotency-Key): a retry finds the lease it already has.
  id uuid not null,
  organization_id uuid not null,
  vault_id uuid not null,
  identity_id uuid not null,
  host_id uuid,
  user_id uuid not null,
  mode text not null default 'standard' references lease_mode,
  state text not null default 'active' references lease_state,
  slot int not null check (slot >= 0),
  fence bigint not null,
  -- Grows with every change of expires_at; an expiry names the version it waited for.
  version int not null default 1,
  credential_version int not null,
  requested_minutes int not null check (requested_minutes between 5 and 1440),
  started_at timestamptz not null,
  expires_at timestamptz not null,
  ended_at timestamptz,
  end_cause text references lease_end_cause,
  ended_by uuid,
  -- The rotation that this lease's end owes.
  rotation_id uuid,
  reason_ciphertext bytea not null,
  reason_key_id text not null,
  request_hash bytea not null check (octet_length(request_hash) = 32),
  primary key (account_id, id),
  check ((state = 'ended') = (ended_at is not null and end_cause is not null)),
  check (expires_at > started_at),
  foreign key (account_id, identity_id) references identity (account_id, id),
  foreign key (account_id, host_id) references host (account_id, id),
  foreign key (account_id, user_id) references account_user (account_id, id)
);
-- Exclusive means exclusive: the guard behind the lock on the identity.
create unique index lease_slot on lease (account_id, identity_id, slot) where state = 'active';
create index lease_due on lease (expires_at) where state = 'active';
create index lease_user on lease (account_id, user_id, id);
create index lease_identity on lease (account_id, identity_id, id);
create trigger lease_transition before update of state on lease for each row execute function refuse_unknown_transition('lease');

-- Every end that a lease was promised, in order; an extension adds a row.
create table lease_term (
  account_id uuid not null default current_account(),
  lease_id uuid not null,
  version int not null,
  expires_at timestamptz not null,
  set_at timestamptz not null,
  primary key (account_id, lease_id, version),
  foreign key (account_id, lease_id) references lease (account_id, id)
);

-- Who was shown which version. must_die_at: from then on the version has to be rotated away.
create table exposure (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  identity_id uuid not null,
  host_id uuid,
  version int not null,
  user_id uuid not null,
  lease_id uuid,
  exposed_at timestamptz not null default app_clock(),
  must_die_at timestamptz,
  primary key (account_id, id),
  foreign key (account_id, identity_id) references identity (account_id, id),
  foreign key (account_id, user_id) references account_user (account_id, id)
);
create index exposure_owed on exposure (account_id, identity_id, version) where must_die_at is not null;
create index exposure_lease on exposure (account_id, lease_id);
