-- What must still happen because of a committed fact; one row per subject, written by the deciding transaction.
create table obligation_kind (kind text primary key, role text not null);
insert into obligation_kind values
  ('lease', 'relay'), ('rotation', 'relay'),
  ('offer', 'bridge'), ('connector', 'bridge');

create table obligation (
  account_id uuid not null default current_account(),
  kind text not null references obligation_kind,
  subject_id uuid not null,
  -- Grows with every fact about the subject; delivered < version means owed.
  version int not null default 1,
  delivered int not null default 0,
  -- The subject is final: reconciliation need not poke it again.
  closed boolean not null default false,
  claimed_until timestamptz,
  attempts int not null default 0,
  next_at timestamptz not null default clock_timestamp(),
  quarantined_at timestamptz,
  last_error text,
  primary key (account_id, kind, subject_id)
);
create index obligation_owed on obligation (kind, next_at) where delivered < version and quarantined_at is null;
create index obligation_open on obligation (kind) where not closed;

-- The relay's last good call to Temporal: standard checkouts stop when it is too old.
create table relay_state (
  singleton boolean primary key default true check (singleton),
  last_temporal_call_at timestamptz,
  temporal_namespace_id text
);
insert into relay_state default values;

create table idempotency_record (
  account_id uuid not null default current_account(),
  user_id uuid not null,
  key text not null check (length(key) between 1 and 255),
  route text not null,
  request_hash bytea not null check (octet_length(request_hash) = 32),
  resource_id uuid not null,
  created_at timestamptz not null default app_clock(),
  primary key (account_id, user_id, key),
  foreign key (account_id, user_id) references account_user (account_id, id)
);
