-- Break-glass: a passphrase that a person enrols in advance, every try of it, and the review that each use waits for.
alter table organization add column break_glass_grace_minutes int not null default 15 check (break_glass_grace_minutes between 0 and 1440);

create table break_glass_credential (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  user_id uuid not null,
  -- Argon2id (RFC 9106) with the parameters that it was made with; its key is not in this database. Null: replaced or revoked.
  salt bytea,
  tag bytea,
  memory_kib int not null,
  passes int not null,
  lanes int not null,
  enrolled_at timestamptz not null default app_clock(),
  ended_at timestamptz,
  primary key (account_id, id),
  check ((ended_at is null) = (tag is not null) and (ended_at is null) = (salt is not null)),
  foreign key (account_id, user_id) references account_user (account_id, id)
);
create unique index break_glass_credential_present on break_glass_credential (account_id, user_id) where ended_at is null;

-- Written and committed before the verdict, so that no try goes uncounted whatever dies.
create table break_glass_attempt (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  user_id uuid not null,
  attempted_at timestamptz not null,
  -- Null: not known yet, or whoever tried it died.
  accepted boolean,
  primary key (account_id, id),
  foreign key (account_id, user_id) references account_user (account_id, id)
);
create index break_glass_attempt_user on break_glass_attempt (account_id, user_id, attempted_at);

create table break_glass_review_state (state text primary key);
insert into break_glass_review_state values ('open'), ('signed');
insert into state_transition values ('break_glass_review', 'open', 'signed');

-- One per use; its id is that of the lease.
create table break_glass_review (
  account_id uuid not null default current_account(),
  id uuid not null,
  organization_id uuid not null,
  state text not null default 'open' references break_glass_review_state,
  -- It took a slot beyond the maximum of the identity.
  beyond_limit boolean not null,
  justification_ciphertext bytea not null,
  justification_key_id text not null,
  opened_at timestamptz not null,
  -- When somebody is reminded next, and how often that has happened.
  remind_at timestamptz not null,
  reminders int not null default 0,
  signed_at timestamptz,
  signed_by uuid,
  finding_ciphertext bytea,
  finding_key_id text,
  primary key (account_id, id),
  check ((state = 'signed') = (signed_at is not null and signed_by is not null and finding_ciphertext is not null and finding_key_id is not null)),
  foreign key (account_id, id) references lease (account_id, id),
  foreign key (account_id, organization_id) references organization (account_id, id),
  foreign key (account_id, signed_by) references account_user (account_id, id)
);
create index break_glass_review_open on break_glass_review (opened_at) where state = 'open';
create trigger break_glass_review_transition before update of state on break_glass_review for each row execute function refuse_unknown_transition('break_glass_review');

-- What the limit of uses per minute counts.
create index lease_break_glass on lease (account_id, started_at) where mode = 'break_glass';
-- When a lease ends early because an emergency use of its identity is over and the password must die.
alter table lease add column superseded_at timestamptz;

do $$
declare t text;
begin
  foreach t in array array['break_glass_credential', 'break_glass_attempt', 'break_glass_review'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I using (account_id = (select current_account())) with check (account_id = (select current_account()))', t);
  end loop;
end $$;
grant select, insert, update (salt, tag, ended_at) on break_glass_credential to leasehold_api;
grant select, insert, update (accepted) on break_glass_attempt to leasehold_api;
grant select, insert, update on break_glass_review to leasehold_api;
grant select, update (remind_at, reminders) on break_glass_review to leasehold_worker;
-- A claim ends overdue leases too, and with them what an emergency leaves behind.
grant insert on lease_term to leasehold_bridge;

-- For the figures of operators: how many, and since when.
grant select (account_id, id, state, opened_at) on break_glass_review to leasehold_expirer;
create policy expirer_figures on break_glass_review for select to leasehold_expirer using (state = 'open');

insert into obligation_kind values ('break_glass_review', 'relay');
create policy break_glass_review_queue on obligation to leasehold_relay using (kind = 'break_glass_review') with check (kind = 'break_glass_review');
