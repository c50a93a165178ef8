-- After the secret of an organization got a new version: what is stored under older ones is sealed anew, in the background.
create table reencryption_state (state text primary key);
insert into reencryption_state values ('running'), ('done');
insert into state_transition values ('reencryption', 'running', 'done');

create table reencryption (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  organization_id uuid not null,
  to_version int not null,
  state text not null default 'running' references reencryption_state,
  resealed int not null default 0,
  -- Values that did not open: they keep their key, and each is on record.
  failed int not null default 0,
  started_at timestamptz not null default app_clock(),
  finished_at timestamptz,
  primary key (account_id, id),
  foreign key (account_id, organization_id) references organization (account_id, id)
);
create unique index reencryption_running on reencryption (account_id, organization_id) where state = 'running';
create trigger reencryption_transition before update of state on reencryption for each row execute function refuse_unknown_transition('reencryption');
alter table reencryption enable row level security;
alter table reencryption force row level security;
create policy tenant on reencryption using (account_id = (select current_account())) with check (account_id = (select current_account()));
grant select, insert on reencryption to leasehold_api;
grant select, update on reencryption to leasehold_worker;

insert into obligation_kind values ('reencryption', 'relay');
create policy reencryption_queue on obligation to leasehold_relay using (kind = 'reencryption') with check (kind = 'reencryption');
