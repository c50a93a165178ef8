-- Where notices go besides the mail of the installation. Without organization: those of the whole account.
create table notification_channel (
  account_id uuid not null default current_account(),
  id uuid not null,
  organization_id uuid,
  name text not null,
  type text not null check (type in ('smtp', 'webhook', 'slack', 'nats')),
  -- Critical notices are taken whatever is said here.
  minimum_severity text not null default 'info' check (minimum_severity in ('info', 'warning', 'critical')),
  -- Null: every kind.
  kinds text[],
  -- Without what is secret; `to` of a mail channel: listed addresses in place of those of the people.
  settings jsonb not null,
  -- Whole URLs, passwords and signing secrets, sealed under the key of the account.
  secret_ciphertext bytea not null,
  secret_key_id text not null,
  -- Failures since the last success, over all notices.
  failures int not null default 0,
  failing_since timestamptz,
  dead_since timestamptz,
  version int not null default 1,
  created_at timestamptz not null default app_clock(),
  deleted_at timestamptz,
  primary key (account_id, id),
  foreign key (account_id, organization_id) references organization (account_id, id)
);
create unique index notification_channel_name on notification_channel (account_id, name) where deleted_at is null;

create table notice_delivery_state (state text primary key);
insert into notice_delivery_state values ('pending'), ('delivered'), ('failed'), ('skipped');
insert into state_transition values
  ('notice_delivery', 'pending', 'delivered'), ('notice_delivery', 'pending', 'failed'), ('notice_delivery', 'pending', 'skipped');

-- One message that a notice became, written with it: a channel that is removed afterwards still carries what was raised before.
create table notice_delivery (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  notice_id uuid not null,
  -- Null: the mail of the installation.
  channel_id uuid,
  -- Mail: to whom, or to which listed address. Both null: the channel itself is the receiver.
  user_id uuid,
  address text,
  state text not null default 'pending' references notice_delivery_state,
  attempts int not null default 0,
  next_at timestamptz not null default app_clock(),
  -- Somebody is sending it; when they die it is free again.
  claimed_until timestamptz,
  delivered_at timestamptz,
  -- What the last attempt was answered: a status or the class of a failure, never its words.
  receipt text,
  primary key (account_id, id),
  unique nulls not distinct (account_id, notice_id, channel_id, user_id, address),
  foreign key (account_id, notice_id) references notice (account_id, id),
  foreign key (account_id, channel_id) references notification_channel (account_id, id),
  foreign key (account_id, user_id) references account_user (account_id, id)
);
create index notice_delivery_pending on notice_delivery (account_id, channel_id) where state = 'pending';
create trigger notice_delivery_transition before update of state on notice_delivery for each row execute function refuse_unknown_transition('notice_delivery');

alter table notification_channel enable row level security;
alter table notification_channel force row level security;
create policy tenant on notification_channel using (account_id = (select current_account())) with check (account_id = (select current_account()));
alter table notice_delivery enable row level security;
alter table notice_delivery force row level security;
create policy tenant on notice_delivery using (account_id = (select current_account())) with check (account_id = (select current_account()));

grant select, insert, update on notification_channel to leasehold_api;
grant select, update (failures, failing_since, dead_since) on notification_channel to leasehold_worker;
-- Whoever raises a notice sees who takes it, and nothing that is sealed.
grant select (account_id, id, organization_id, type, minimum_severity, kinds, settings, deleted_at) on notification_channel to leasehold_bridge;
grant select, insert, update on notice_delivery to leasehold_api, leasehold_worker;
grant insert on notice_delivery to leasehold_bridge;

insert into obligation_kind values ('notification', 'relay');
create policy notification_queue on obligation to leasehold_relay using (kind = 'notification') with check (kind = 'notification');
