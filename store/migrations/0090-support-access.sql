-- People of a vendor who may come in while the account has a window open for them. They hold no role: what they may do stands in the window.
alter table account_user add column support boolean not null default false;

create table support_access_state (state text primary key);
insert into support_access_state values ('open'), ('ended');
insert into state_transition values ('support_access', 'open', 'ended');

create table support_access_end_cause (cause text primary key);
insert into support_access_end_cause values ('disabled'), ('expired'), ('emergency');

-- One window of time. Every use of support rests on the row that is open: it is read, and locked, with the rest of a person's authority.
create table support_access (
  account_id uuid not null default current_account(),
  id uuid not null,
  state text not null default 'open' references support_access_state,
  -- Grows with every change: a use that was decided on an older one is decided again.
  version int not null default 1,
  -- What configuration gave support staff when it was opened.
  permissions text[] not null,
  reason_ciphertext bytea not null,
  reason_key_id text not null,
  enabled_by uuid not null,
  enabled_at timestamptz not null default app_clock(),
  -- Null: until somebody disables it.
  expires_at timestamptz,
  -- When administrators are reminded next that it is open; null: not any more.
  remind_at timestamptz,
  ended_at timestamptz,
  end_cause text references support_access_end_cause,
  ended_by uuid,
  primary key (account_id, id),
  check ((state = 'ended') = (ended_at is not null and end_cause is not null)),
  foreign key (account_id, enabled_by) references account_user (account_id, id),
  foreign key (account_id, ended_by) references account_user (account_id, id)
);
create unique index support_access_open on support_access (account_id) where state = 'open';
create index support_access_due on support_access (expires_at) where state = 'open';
create trigger support_access_transition before update of state on support_access for each row execute function refuse_unknown_transition('support_access');

alter table support_access enable row level security;
alter table support_access force row level security;
create policy tenant on support_access using (account_id = (select current_account())) with check (account_id = (select current_account()));
create policy expirer_due on support_access for select to leasehold_expirer using (state = 'open');
grant select, insert, update on support_access to leasehold_api;
grant select, update on support_access to leasehold_worker;
grant select on support_access to leasehold_bridge;
grant select (account_id, id, version, state, expires_at) on support_access to leasehold_expirer;

create index account_user_support on account_user (account_id, id) where support;
create index audit_event_action on audit_event (account_id, action, at) where action like 'support-access.%';

insert into obligation_kind values ('support_access', 'relay');
create policy support_access_queue on obligation to leasehold_relay using (kind = 'support_access') with check (kind = 'support_access');

-- Support staff hold no role, whatever was assigned to them or to a group of theirs: they approve nothing, are told nothing and own nothing.
create or replace view held_role with (security_invoker) as
  with clock as materialized (select app_clock() as now)
  select a.account_id, coalesce(a.user_id, d.user_id, g.user_id) as user_id, a.id as assignment_id, a.role_id, r.name as role_name, r.owner,
    a.organization_id, a.idp_group_id
  from role_assignment a
    join role r on r.account_id = a.account_id and r.id = a.role_id
    left join idp_user d on d.account_id = a.account_id and d.id = a.idp_user_id and d.state = 'active'
    left join (select m.account_id, m.group_id, i.user_id from idp_group_member m
      join idp_user i on i.account_id = m.account_id and i.id = m.idp_user_id and i.state = 'active', clock
      where m.valid_from <= clock.now and (m.valid_to is null or m.valid_to > clock.now)) g on g.account_id = a.account_id and g.group_id = a.idp_group_id,
    clock
  where a.valid_from <= clock.now and (a.valid_to is null or a.valid_to > clock.now) and coalesce(a.user_id, d.user_id, g.user_id) is not null
    and not exists (select from account_user u where u.account_id = a.account_id and u.id = coalesce(a.user_id, d.user_id, g.user_id) and u.support);
