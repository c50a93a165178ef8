-- Security keys (W3C WebAuthn) beside the passphrase of break-glass, and the challenges that they sign.
alter table break_glass_credential
  add column kind text not null default 'passphrase' check (kind in ('passphrase', 'security_key')),
  alter column memory_kib drop not null,
  alter column passes drop not null,
  alter column lanes drop not null,
  add column name text,
  -- What the key calls itself, its public key (COSE, RFC 9052), and how often it had signed when it was last used.
  add column webauthn_id bytea,
  add column public_key bytea,
  add column sign_count bigint,
  add column transports text[],
  add column last_used_at timestamptz;
alter table break_glass_credential drop constraint break_glass_credential_check;
alter table break_glass_credential add constraint break_glass_credential_kind check (
  case kind
    when 'passphrase' then (ended_at is null) = (tag is not null) and (ended_at is null) = (salt is not null)
      and num_nulls(memory_kib, passes, lanes) = 0 and num_nonnulls(name, webauthn_id, public_key, sign_count, transports) = 0
    else num_nonnulls(salt, tag, memory_kib, passes, lanes) = 0 and num_nulls(name, webauthn_id, public_key, sign_count, transports) = 0
  end
);
drop index break_glass_credential_present;
create unique index break_glass_credential_passphrase on break_glass_credential (account_id, user_id) where ended_at is null and kind = 'passphrase';
create unique index break_glass_credential_security_key on break_glass_credential (account_id, webauthn_id) where ended_at is null;
grant update (sign_count, last_used_at) on break_glass_credential to leasehold_api;

-- Deleted by whoever signs it, so that it counts once.
create table security_key_challenge (
  account_id uuid not null default current_account(),
  challenge bytea not null,
  user_id uuid not null,
  -- The identity that an emergency is about; null: a new key is enrolled.
  identity_id uuid,
  expires_at timestamptz not null,
  primary key (account_id, challenge),
  foreign key (account_id, user_id) references account_user (account_id, id)
);
create index security_key_challenge_user on security_key_challenge (account_id, user_id, expires_at);
alter table security_key_challenge enable row level security;
alter table security_key_challenge force row level security;
create policy tenant on security_key_challenge using (account_id = (select current_account())) with check (account_id = (select current_account()));
grant select, insert, delete on security_key_challenge to leasehold_api;
