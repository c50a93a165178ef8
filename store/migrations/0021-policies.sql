-- Policy sets (Cedar) of an account: every version stays as it was written, one of them is in force.
create table policy_set (
  account_id uuid not null default current_account() references account,
  version int not null check (version >= 1),
  id uuid not null default uuidv7(),
  policies text not null,
  comment text,
  created_by uuid not null,
  created_at timestamptz not null default app_clock(),
  in_force boolean not null default false,
  activated_at timestamptz,
  primary key (account_id, version),
  unique (account_id, id),
  foreign key (account_id, created_by) references account_user (account_id, id)
);
create unique index policy_set_in_force on policy_set (account_id) where in_force;

-- What a decision with obligations still allows: who, what to, until when, how often, and whose key it is held by.
create table use_grant (
  account_id uuid not null default current_account() references account,
  id uuid not null default uuidv7(),
  user_id uuid not null,
  action text not null,
  -- The most specific thing that was decided on: identity, vault, organization or account.
  resource_id uuid not null,
  decision_id uuid not null,
  -- `jkt:` or `x5t#S256:` and the thumbprint; `none`: a bearer token.
  binding text not null,
  -- SHA-256 over issuer and jti of the token that the decision was made for.
  token_digest bytea not null check (octet_length(token_digest) = 32),
  max_uses int check (max_uses >= 1),
  uses int not null check (uses >= 0),
  created_at timestamptz not null,
  expires_at timestamptz not null,
  closed_at timestamptz,
  primary key (account_id, id),
  check (max_uses is null or uses <= max_uses),
  foreign key (account_id, user_id) references account_user (account_id, id)
);
create unique index use_grant_open on use_grant (account_id, user_id, action, resource_id) where closed_at is null;
create index use_grant_token on use_grant (account_id, user_id, action, resource_id, token_digest);
create index use_grant_expires on use_grant (expires_at);

-- Bearer tokens without proof of possession count once each against a grant with a number of uses.
create table used_token (
  account_id uuid not null default current_account(),
  use_grant_id uuid not null,
  digest bytea not null check (octet_length(digest) = 32),
  primary key (account_id, use_grant_id, digest),
  foreign key (account_id, use_grant_id) references use_grant (account_id, id) on delete cascade
);

do $$
declare t text;
begin
  foreach t in array array['policy_set', 'use_grant', 'used_token'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I using (account_id = (select current_account())) with check (account_id = (select current_account()))', t);
  end loop;
end $$;
grant select on policy_set, use_grant, used_token to leasehold_api;
grant select on policy_set to leasehold_worker, leasehold_bridge;
grant insert, update (in_force, activated_at) on policy_set to leasehold_api;
grant insert, update (uses, closed_at), delete on use_grant to leasehold_api;
grant insert, delete on used_token to leasehold_api;
