-- The one exception to "every login goes through the provider": an emergency while it is down, where the organization says so.
alter table organization add column break_glass_without_provider boolean not null default false;

-- Second factor of such a login (RFC 6238), one per person.
-- Whoever tries it may be anybody: their tries are counted apart, so that no stranger keeps a person from an emergency.
alter table break_glass_attempt add column stranger boolean not null default false;

create table break_glass_totp (
  account_id uuid not null default current_account(),
  user_id uuid not null,
  -- Names the seed that was sealed: it changes with every new one.
  id uuid not null,
  seed_ciphertext bytea not null,
  seed_key_id text not null,
  -- Null: nobody has shown a code of it yet, so it counts for nothing.
  confirmed_at timestamptz,
  -- The last time step that a code was taken for; no code counts twice.
  last_step bigint not null default 0,
  primary key (account_id, user_id),
  foreign key (account_id, user_id) references account_user (account_id, id)
);
alter table break_glass_totp enable row level security;
alter table break_glass_totp force row level security;
create policy tenant on break_glass_totp using (account_id = (select current_account())) with check (account_id = (select current_account()));
grant select, insert, update on break_glass_totp to leasehold_api;
