-- Dual control: who must agree before an identity is checked out, and what people asked for and were answered.
create table approval_policy (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  organization_id uuid not null,
  -- Of a vault, or of one identity, for which it then holds in place of the vault's.
  vault_id uuid,
  identity_id uuid,
  -- False: it only says who approves when a policy of the account asks for an approval.
  required boolean not null,
  timeout_minutes int not null check (timeout_minutes between 5 and 43200),
  -- How long an approval can be used.
  validity_minutes int not null check (validity_minutes between 5 and 43200),
  -- Longest lease that may be asked for; null: as long as the organization allows.
  maximum_minutes int check (maximum_minutes between 5 and 1440),
  -- When others may decide too; null: never.
  escalate_after_minutes int check (escalate_after_minutes between 1 and 43200),
  -- Days and hours in which an approval can be used; empty: at any time.
  windows jsonb not null default '[]',
  -- Decisions that were made under an older version count no more.
  version int not null default 1,
  created_at timestamptz not null default app_clock(),
  deleted_at timestamptz,
  primary key (account_id, id),
  check (num_nonnulls(vault_id, identity_id) = 1),
  check (escalate_after_minutes < timeout_minutes),
  foreign key (account_id, organization_id) references organization (account_id, id),
  foreign key (account_id, vault_id) references vault (account_id, id),
  foreign key (account_id, identity_id) references identity (account_id, id)
);
create unique index approval_policy_vault on approval_policy (account_id, vault_id) where deleted_at is null;
create unique index approval_policy_identity on approval_policy (account_id, identity_id) where deleted_at is null;

create table approval_step (
  account_id uuid not null default current_account(),
  policy_id uuid not null,
  step int not null check (step >= 1),
  -- Distinct people who must approve in it.
  needed int not null check (needed between 1 and 10),
  primary key (account_id, policy_id, step),
  foreign key (account_id, policy_id) references approval_policy (account_id, id)
);

create table approval_approver (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  policy_id uuid not null,
  -- Null: for every step, after the escalation.
  step int,
  idp_user_id uuid,
  idp_group_id uuid,
  -- Neither: whoever holds pam_requests.approve in the organization.
  primary key (account_id, id),
  check (num_nonnulls(idp_user_id, idp_group_id) <= 1),
  foreign key (account_id, policy_id) references approval_policy (account_id, id),
  foreign key (account_id, policy_id, step) references approval_step (account_id, policy_id, step),
  foreign key (account_id, idp_user_id) references idp_user (account_id, id),
  foreign key (account_id, idp_group_id) references idp_group (account_id, id)
);
create index approval_approver_policy on approval_approver (account_id, policy_id);

-- The policy that holds for an identity now.
create function approval_policy_of(identity uuid) returns setof approval_policy language sql stable as $$
  select p.* from identity i join approval_policy p
    on p.account_id = i.account_id and p.deleted_at is null and (p.identity_id = i.id or p.vault_id = i.vault_id)
  where i.id = identity order by p.identity_id nulls last limit 1
$$;

-- Who is an approver by a policy now; step null: once it is escalated. Without a policy: whoever holds pam_requests.approve.
create function approvers_of(policy uuid, organization uuid) returns table (step int, user_id uuid) language sql as $$
  with clock as materialized (select app_clock() as now),
  named as (
    select a.step, a.idp_user_id, a.idp_group_id from approval_approver a where a.policy_id = policy
    union all select 1, null, null where policy is null
  ),
  directory as (
    select n.step, n.idp_user_id from named n where n.idp_user_id is not null
    union
    select n.step, m.idp_user_id from named n join idp_group_member m on m.group_id = n.idp_group_id, clock
    where m.valid_from <= clock.now and (m.valid_to is null or m.valid_to > clock.now)
  )
  select d.step, u.id from directory d join idp_user i on i.id = d.idp_user_id and i.state = 'active'
    join account_user u on u.id = i.user_id and u.state = 'active' and not u.support
  union
  select n.step, u.id from named n join held_role h on num_nonnulls(n.idp_user_id, n.idp_group_id) = 0
      and (h.organization_id is null or (h.organization_id = organization and not h.owner))
    join account_user u on u.id = h.user_id and u.state = 'active'
    left join role_permission p on p.role_id = h.role_id and p.permission = 'pam_requests.approve'
  where h.owner or p.permission is not null
$$;

create table access_request_state (state text primary key);
insert into access_request_state values ('pending'), ('approved'), ('denied'), ('expired'), ('cancelled'), ('used');
insert into state_transition values
  ('access_request', 'pending', 'approved'), ('access_request', 'pending', 'denied'),
  ('access_request', 'pending', 'expired'), ('access_request', 'pending', 'cancelled'),
  ('access_request', 'approved', 'pending'), ('access_request', 'approved', 'denied'), ('access_request', 'approved', 'expired'),
  ('access_request', 'approved', 'cancelled'), ('access_request', 'approved', 'used');

create table access_request (
  account_id uuid not null default current_account(),
  -- uuidv5(account, subject, Idempotency-Key): a retry finds the request it already has.
  id uuid not null,
  organization_id uuid not null,
  vault_id uuid not null,
  identity_id uuid not null,
  host_id uuid,
  -- The requester.
  user_id uuid not null,
  state text not null default 'pending' references access_request_state,
  -- Of what is asked for: an edit makes another one, and decisions name theirs.
  version int not null default 1,
  requested_minutes int not null check (requested_minutes between 5 and 1440),
  ticket text check (length(ticket) <= 100),
  -- How many people the policies of the account want to agree, whatever the approval policy says.
  at_least int not null check (at_least >= 1),
  opened_at timestamptz not null,
  -- While it is pending the last moment for decisions, once it is approved the last one for the checkout.
  expires_at timestamptz not null,
  escalate_at timestamptz,
  escalated_at timestamptz,
  approved_at timestamptz,
  closed_at timestamptz,
  reason_ciphertext bytea not null,
  reason_key_id text not null,
  request_hash bytea not null check (octet_length(request_hash) = 32),
  primary key (account_id, id),
  check ((state in ('denied', 'expired', 'cancelled', 'used')) = (closed_at is not null)),
  check (state <> 'approved' or approved_at is not null),
  foreign key (account_id, organization_id) references organization (account_id, id),
  foreign key (account_id, vault_id) references vault (account_id, id),
  foreign key (account_id, identity_id) references identity (account_id, id),
  foreign key (account_id, host_id) references host (account_id, id),
  foreign key (account_id, user_id) references account_user (account_id, id)
);
create index access_request_opened on access_request (account_id, opened_at, id);
create index access_request_user on access_request (account_id, user_id, opened_at, id);
create index access_request_open on access_request (account_id, identity_id) where state in ('pending', 'approved');
create trigger access_request_transition before update of state on access_request
  for each row execute function refuse_unknown_transition('access_request');

-- What somebody answered to one version of a request under one version of a policy. Never changed.
create table access_decision (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  request_id uuid not null,
  request_version int not null,
  -- Null: there was none, and a policy of the account asked for the approval.
  policy_id uuid,
  policy_version int,
  step int not null,
  user_id uuid not null,
  verdict text not null check (verdict in ('approve', 'deny')),
  comment_ciphertext bytea,
  comment_key_id text,
  decided_at timestamptz not null default app_clock(),
  primary key (account_id, id),
  check ((policy_id is null) = (policy_version is null)),
  check ((comment_ciphertext is null) = (comment_key_id is null)),
  foreign key (account_id, request_id) references access_request (account_id, id),
  foreign key (account_id, policy_id) references approval_policy (account_id, id),
  foreign key (account_id, user_id) references account_user (account_id, id)
);
-- Each person counts once: the guard behind the lock on the request.
create unique index access_decision_once on access_decision (account_id, request_id, request_version, policy_id, policy_version, user_id, verdict)
  nulls not distinct;

-- One lease for one approval: the guard behind the lock on the request. approval_ends_at: no extension goes past it.
alter table lease add column request_id uuid,
  add column approval_ends_at timestamptz,
  add foreign key (account_id, request_id) references access_request (account_id, id);
create unique index lease_request on lease (account_id, request_id) where request_id is not null;

do $$
declare t text;
begin
  foreach t in array array['approval_policy', 'approval_step', 'approval_approver', 'access_request', 'access_decision'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I using (account_id = (select current_account())) with check (account_id = (select current_account()))', t);
  end loop;
end $$;
grant select on approval_policy, approval_step, approval_approver, access_request, access_decision to leasehold_api, leasehold_worker;
-- A claim ends what is overdue first, and reads what a checkout would.
grant select on approval_policy to leasehold_bridge;
grant insert, update on approval_policy to leasehold_api;
grant insert, delete on approval_step, approval_approver to leasehold_api;
grant insert, update on access_request to leasehold_api;
grant insert on access_decision to leasehold_api;
grant update on access_request to leasehold_worker;
-- For values that are sealed under a new key.
grant update (comment_ciphertext, comment_key_id) on access_decision to leasehold_worker;

insert into obligation_kind values ('access_request', 'relay');
create policy access_request_queue on obligation to leasehold_relay using (kind = 'access_request') with check (kind = 'access_request');
