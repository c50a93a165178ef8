-- What people must be told, written in the transaction of the fact. Holds ids, states and times: no secret, no free text.
create table notice (
  account_id uuid not null default current_account(),
  -- Also the Message-ID of the mail and the id of the webhook: whoever gets it twice can tell.
  id uuid not null default uuidv7(),
  kind text not null,
  severity text not null check (severity in ('info', 'warning', 'critical')),
  organization_id uuid,
  subject_type text not null,
  subject_id uuid not null,
  facts jsonb not null default '{}',
  created_at timestamptz not null default app_clock(),
  primary key (account_id, id),
  foreign key (account_id, organization_id) references organization (account_id, id)
);
create index notice_subject on notice (account_id, subject_id, id);

-- Whom it is for; the people are those of the instant of the fact.
create table notice_recipient (
  account_id uuid not null default current_account(),
  notice_id uuid not null,
  user_id uuid not null,
  primary key (account_id, notice_id, user_id),
  foreign key (account_id, notice_id) references notice (account_id, id),
  foreign key (account_id, user_id) references account_user (account_id, id)
);
create index notice_recipient_user on notice_recipient (account_id, user_id, notice_id);

alter table notice enable row level security;
alter table notice force row level security;
create policy tenant on notice using (account_id = (select current_account())) with check (account_id = (select current_account()));
alter table notice_recipient enable row level security;
alter table notice_recipient force row level security;
create policy tenant on notice_recipient using (account_id = (select current_account())) with check (account_id = (select current_account()));
grant select, insert on notice, notice_recipient to leasehold_api, leasehold_worker, leasehold_bridge, leasehold_expirer;
