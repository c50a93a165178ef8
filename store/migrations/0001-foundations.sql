-- The account of the running transaction; set with set_config('app.account', id, true) in the round trip of begin.
create function current_account() returns uuid language sql stable parallel safe
  as $$ select nullif(current_setting('app.account', true), '')::uuid $$;

-- Only tests write here, as superuser, to move one account's clock together with Temporal's skipped time.
create table clock_shift (
  account_id uuid primary key,
  shift interval not null
);

-- The only clock of every decision. Volatile: it is read after the lock, not at the start of the transaction.
create function app_clock() returns timestamptz language sql volatile
  as $$ select clock_timestamp() + coalesce((select shift from clock_shift where account_id = current_account()), interval '0') $$;

create function app_clock(account uuid) returns timestamptz language sql volatile
  as $$ select clock_timestamp() + coalesce((select shift from clock_shift where account_id = account), interval '0') $$;

-- States and transitions are rows, so that no code path can invent one. schemas/rules/ holds the same tables.
create table state_transition (
  noun text not null,
  from_state text not null,
  to_state text not null,
  primary key (noun, from_state, to_state)
);

create function refuse_unknown_transition() returns trigger language plpgsql as $$
begin
  if new.state is distinct from old.state and not exists (
    select from state_transition where noun = tg_argv[0] and from_state = old.state and to_state = new.state
  ) then
    raise exception 'a % cannot go from % to %', tg_argv[0], old.state, new.state using errcode = 'integrity_constraint_violation';
  end if;
  return new;
end $$;

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'rows of % are never changed or removed', tg_table_name using errcode = 'insufficient_privilege';
end $$;

create table account (
  id uuid primary key default uuidv7(),
  name text not null,
  created_at timestamptz not null default clock_timestamp()
);

create table organization (
  account_id uuid not null default current_account() references account,
  id uuid not null default uuidv7(),
  name text not null,
  -- Newest version of the organization secret; the secret itself is in OpenBao. Null: none is set.
  secret_version int,
  -- Caps every lease of the organization; null: the limit of the manual, 1440 minutes.
  maximum_lease_minutes int check (maximum_lease_minutes between 5 and 1440),
  break_glass_maximum_minutes int not null default 60 check (break_glass_maximum_minutes between 5 and 1440),
  legacy_open boolean not null default false,
  version int not null default 1,
  created_at timestamptz not null default app_clock(),
  primary key (account_id, id),
  unique (account_id, name)
);

create table organization_secret (
  account_id uuid not null default current_account(),
  organization_id uuid not null,
  version int not null check (version >= 1),
  created_at timestamptz not null default app_clock(),
  primary key (account_id, organization_id, version),
  foreign key (account_id, organization_id) references organization (account_id, id)
);
