-- Called identity-groups in the API.
create table vault (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  organization_id uuid not null,
  name text not null,
  description text,
  -- HKDF salt of the vault key; random, not secret.
  salt bytea not null check (octet_length(salt) = 32),
  version int not null default 1,
  created_at timestamptz not null default app_clock(),
  -- Leases and audit events go on naming it.
  deleted_at timestamptz,
  primary key (account_id, id),
  unique (account_id, organization_id, id),
  foreign key (account_id, organization_id) references organization (account_id, id)
);
create unique index vault_name on vault (account_id, organization_id, name) where deleted_at is null;

create table grant_level (name text primary key, rank int not null unique);
insert into grant_level values ('view_vault', 1), ('view_credentials', 2), ('checkout', 3);

create table vault_grant (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  vault_id uuid not null,
  idp_user_id uuid,
  idp_group_id uuid,
  level text not null references grant_level,
  expires_at timestamptz,
  valid_from timestamptz not null default app_clock(),
  valid_to timestamptz,
  created_by uuid not null,
  primary key (account_id, id),
  check (num_nonnulls(idp_user_id, idp_group_id) = 1),
  foreign key (account_id, vault_id) references vault (account_id, id),
  foreign key (account_id, idp_user_id) references idp_user (account_id, id),
  foreign key (account_id, idp_group_id) references idp_group (account_id, id),
  foreign key (account_id, created_by) references account_user (account_id, id)
);
create index vault_grant_vault on vault_grant (account_id, vault_id) where valid_to is null;

create table connector_state (state text primary key);
insert into connector_state values ('pending'), ('joining'), ('active'), ('revoked');
insert into state_transition values
  ('connector', 'pending', 'joining'), ('connector', 'joining', 'active'), ('connector', 'joining', 'pending'),
  ('connector', 'pending', 'revoked'), ('connector', 'joining', 'revoked'), ('connector', 'active', 'revoked');

create table connector (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  organization_id uuid not null,
  name text not null,
  state text not null default 'pending' references connector_state,
  -- NATS user public key and X25519 public JWK; the connector made both and keeps the private halves.
  nkey text,
  encryption_jwk jsonb,
  user_jwt text,
  user_jwt_expires_at timestamptz,
  -- The running instance, from its last hello.
  instance uuid,
  build text,
  last_seen_at timestamptz,
  revoked_at timestamptz,
  version int not null default 1,
  created_at timestamptz not null default app_clock(),
  primary key (account_id, id),
  unique (account_id, organization_id, id),
  foreign key (account_id, organization_id) references organization (account_id, id)
);
create unique index connector_name on connector (account_id, organization_id, name) where state <> 'revoked';
create trigger connector_transition before update of state on connector for each row execute function refuse_unknown_transition('connector');

create table join_token (
  account_id uuid not null default current_account(),
  connector_id uuid not null,
  hash bytea not null check (octet_length(hash) = 32),
  expires_at timestamptz not null,
  used_at timestamptz,
  used_nkey text,
  created_at timestamptz not null default app_clock(),
  primary key (account_id, connector_id, hash),
  foreign key (account_id, connector_id) references connector (account_id, id)
);

-- The claims of an organization's NATS account as PostgreSQL wants them; every server is compared with these.
create table nats_account (
  account_id uuid not null default current_account(),
  organization_id uuid not null,
  public_key text not null,
  signing_key text not null,
  jwt text not null,
  -- nkey -> unix seconds: user JWTs issued up to then are refused and their connections cut.
  revocations jsonb not null default '{}',
  revision int not null default 1,
  primary key (account_id, organization_id),
  foreign key (account_id, organization_id) references organization (account_id, id)
);

create table credential_type (name text primary key);
insert into credential_type values ('password'), ('ssh_key'), ('api_key'), ('other');

create table identity (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  organization_id uuid not null,
  vault_id uuid not null,
  name text not null,
  username text not null,
  credential_type text not null references credential_type,
  rotation_interval_days int check (rotation_interval_days >= 1),
  rotate_after_use boolean not null default false,
  allow_concurrent_checkout boolean not null default false,
  max_concurrent_sessions int check (max_concurrent_sessions >= 1),
  exposure text not null default 'revealable' check (exposure in ('revealable', 'inject_only')),
  after_use_grace_minutes int check (after_use_grace_minutes between 5 and 1440),
  password_policy jsonb,
  state text not null default 'active' references access_state,
  -- Highest version that a rotation confirmed or a person stored; staged versions are above it.
  current_version int not null default 1,
  -- Grows with every lease, job claim and probe: a stale holder is refused by it.
  epoch bigint not null default 0,
  -- When set, the identity takes no new checkouts or extensions until its rotation was claimed.
  draining_since timestamptz,
  next_rotation_at timestamptz,
  last_rotated_at timestamptz,
  version int not null default 1,
  created_at timestamptz not null default app_clock(),
  -- Its ciphertexts are shredded; leases, rotations and audit events go on naming it.
  deleted_at timestamptz,
  primary key (account_id, id),
  check (allow_concurrent_checkout = (max_concurrent_sessions is not null)),
  foreign key (account_id, organization_id, vault_id) references vault (account_id, organization_id, id)
);
create unique index identity_name on identity (account_id, vault_id, name) where deleted_at is null;
create index identity_due on identity (next_rotation_at) where next_rotation_at is not null;
create index identity_vault on identity (account_id, vault_id);

create table host (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  organization_id uuid not null,
  name text not null,
  address text not null,
  port int not null check (port between 1 and 65535),
  adapter text not null check (adapter in ('postgres')),
  connector_id uuid not null,
  -- Used for enrolment, reset and reconciliation; never the identity that is being changed.
  admin_identity_id uuid,
  parameters jsonb not null default '{}',
  version int not null default 1,
  created_at timestamptz not null default app_clock(),
  deleted_at timestamptz,
  primary key (account_id, id),
  foreign key (account_id, organization_id, connector_id) references connector (account_id, organization_id, id),
  foreign key (account_id, admin_identity_id) references identity (account_id, id)
);

create unique index host_name on host (account_id, organization_id, name) where deleted_at is null;

create table host_sync (state text primary key);
insert into host_sync values ('in_sync'), ('unknown'), ('drifted');

create table identity_host (
  account_id uuid not null default current_account(),
  identity_id uuid not null,
  host_id uuid not null,
  -- The version that is known to log in at this host.
  known_version int not null,
  sync text not null default 'in_sync' references host_sync,
  primary key (account_id, identity_id, host_id),
  foreign key (account_id, identity_id) references identity (account_id, id),
  foreign key (account_id, host_id) references host (account_id, id)
);

create table credential_version (
  account_id uuid not null default current_account(),
  identity_id uuid not null,
  version int not null check (version >= 1),
  -- 0 legacy plaintext, 1 legacy organization key, 2 current. Null ciphertext: shredded.
  encryption_version int not null check (encryption_version in (0, 1, 2)),
  key_id text not null,
  ciphertext bytea,
  -- Set when a rotation made it; such a version is used only once that rotation says so.
  rotation_id uuid,
  created_at timestamptz not null default app_clock(),
  primary key (account_id, identity_id, version),
  foreign key (account_id, identity_id) references identity (account_id, id)
);

create table password_history (
  account_id uuid not null default current_account(),
  identity_id uuid not null,
  version int not null,
  -- HMAC-SHA-256 of each value when it was stored, with a key derived per vault: a dump of this table cracks nothing.
  -- The present one and at most 10 old ones are kept.
  hash bytea not null check (octet_length(hash) = 32),
  key_id text not null,
  stored_at timestamptz not null default app_clock(),
  primary key (account_id, identity_id, version),
  foreign key (account_id, identity_id) references identity (account_id, id)
);
