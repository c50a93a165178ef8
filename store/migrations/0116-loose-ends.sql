-- A notice that became no message has nobody to end its duty. Those of before are ended here, whoever's they are.
alter table obligation no force row level security;
alter table notice_delivery no force row level security;
update obligation o set closed = true
  where o.kind = 'notification' and not o.closed
    and not exists (select from notice_delivery d where d.account_id = o.account_id and d.notice_id = o.subject_id and d.state = 'pending');
alter table notice_delivery force row level security;
alter table obligation force row level security;

-- Reconciliation goes through what is open batch by batch, in the order in which everybody takes these rows.
drop index obligation_open;
create index obligation_open on obligation (account_id, kind, subject_id) where not closed;

-- A channel that is dead mails nobody in place of the installation, also where a bridge raises the notice.
grant select (dead_since) on notification_channel to leasehold_bridge;

-- The expirer finds messages that are late; what they say, and to whom, it neither reads nor writes.
revoke select, insert on notice, notice_recipient from leasehold_expirer;

-- Values that did not open in a re-encryption: each counts once, however many passes meet it.
create table reencryption_failure (
  account_id uuid not null default current_account(),
  reencryption_id uuid not null,
  -- `credential`: a version of the credential of an identity; else the table and column of a text.
  place text not null,
  subject_id uuid not null,
  version int not null,
  primary key (account_id, reencryption_id, place, subject_id, version),
  foreign key (account_id, reencryption_id) references reencryption (account_id, id)
);
alter table reencryption_failure enable row level security;
alter table reencryption_failure force row level security;
create policy tenant on reencryption_failure using (account_id = (select current_account())) with check (account_id = (select current_account()));
grant select, insert on reencryption_failure to leasehold_worker;
