-- Recertification: who has which access, looked at item by item, kept or removed until a day.
create table recertification_state (state text primary key);
insert into recertification_state values ('open'), ('ended'), ('cancelled');
insert into state_transition values ('recertification', 'open', 'ended'), ('recertification', 'open', 'cancelled');

create table recertification (
  account_id uuid not null default current_account(),
  id uuid not null,
  organization_id uuid not null,
  name text not null,
  -- Whose grants are looked at; null: of all vaults of the organization.
  vault_ids uuid[],
  on_silence text not null check (on_silence in ('remove', 'keep')),
  state text not null default 'open' references recertification_state,
  reason_ciphertext bytea not null,
  reason_key_id text not null,
  started_by uuid not null,
  opened_at timestamptz not null,
  due_at timestamptz not null,
  -- When reviewers are reminded; null: they have been.
  remind_at timestamptz,
  closed_at timestamptz,
  -- Null: its time was over.
  closed_by uuid,
  primary key (account_id, id),
  check (due_at > opened_at),
  check ((state = 'open') = (closed_at is null)),
  foreign key (account_id, organization_id) references organization (account_id, id),
  foreign key (account_id, started_by) references account_user (account_id, id),
  foreign key (account_id, closed_by) references account_user (account_id, id)
);
create index recertification_opened on recertification (account_id, opened_at, id);
create trigger recertification_transition before update of state on recertification
  for each row execute function refuse_unknown_transition('recertification');

create table recertification_reviewer (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  recertification_id uuid not null,
  idp_user_id uuid,
  idp_group_id uuid,
  primary key (account_id, id),
  check (num_nonnulls(idp_user_id, idp_group_id) = 1),
  unique nulls not distinct (account_id, recertification_id, idp_user_id, idp_group_id),
  foreign key (account_id, recertification_id) references recertification (account_id, id),
  foreign key (account_id, idp_user_id) references idp_user (account_id, id),
  foreign key (account_id, idp_group_id) references idp_group (account_id, id)
);

create table recertification_item_decision (decision text primary key);
insert into recertification_item_decision values ('open'), ('keep'), ('remove'), ('refused'), ('gone');
insert into state_transition values
  ('recertification_item', 'open', 'keep'), ('recertification_item', 'open', 'remove'), ('recertification_item', 'open', 'refused'),
  ('recertification_item', 'open', 'gone'), ('recertification_item', 'keep', 'remove');

-- One grant or one role of somebody, as it was when the recertification began. Names are those of then: an auditor reads them in years.
create table recertification_item (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  recertification_id uuid not null,
  grant_id uuid,
  vault_id uuid,
  level text references grant_level,
  assignment_id uuid,
  role_id uuid,
  -- Of a role: where it holds; null: in the whole account.
  organization_id uuid,
  what text not null,
  user_id uuid,
  idp_user_id uuid,
  idp_group_id uuid,
  holder text not null,
  since timestamptz not null,
  until timestamptz,
  granted_by uuid,
  last_used_at timestamptz,
  state text not null default 'open' references recertification_item_decision,
  -- Null: nobody, silence decided.
  decided_by uuid,
  decided_at timestamptz,
  comment_ciphertext bytea,
  comment_key_id text,
  primary key (account_id, id),
  check (num_nonnulls(grant_id, assignment_id) = 1),
  check ((grant_id is null) = (vault_id is null) and (grant_id is null) = (level is null) and (assignment_id is null) = (role_id is null)),
  check (num_nonnulls(user_id, idp_user_id, idp_group_id) = 1),
  check ((state = 'open') = (decided_at is null)),
  check ((decided_by is null) = (comment_ciphertext is null) and (comment_ciphertext is null) = (comment_key_id is null)),
  unique nulls not distinct (account_id, recertification_id, grant_id, assignment_id),
  foreign key (account_id, recertification_id) references recertification (account_id, id),
  -- Whatever else an item names, its grant or assignment names too: thousands of items are written at once.
  foreign key (account_id, grant_id) references vault_grant (account_id, id),
  foreign key (account_id, assignment_id) references role_assignment (account_id, id),
  foreign key (account_id, decided_by) references account_user (account_id, id)
);
create index recertification_item_open on recertification_item (account_id, recertification_id, id) where state = 'open';
create index recertification_item_all on recertification_item (account_id, recertification_id, id);
create trigger recertification_item_transition before update of state on recertification_item
  for each row execute function refuse_unknown_transition('recertification_item');

-- Whom access is given to when a user has it: themselves, their directory record, groups that they are in or have been in from `since` on.
create function holders_of(person uuid, since timestamptz) returns table (id uuid) language sql stable as $$
  select person
  union all select i.id from idp_user i where i.user_id = person
  union all select m.group_id from idp_user i join idp_group_member m on m.idp_user_id = i.id
    where i.user_id = person and (m.valid_to is null or m.valid_to > since)
$$;

-- Who reviews now.
create function reviewers_of(recertification uuid) returns table (user_id uuid) language sql stable as $$
  with named as (
    select r.idp_user_id as id from recertification_reviewer r where r.recertification_id = recertification and r.idp_user_id is not null
    union
    select m.idp_user_id from recertification_reviewer r join idp_group_member m on m.group_id = r.idp_group_id and m.valid_to is null
    where r.recertification_id = recertification
  )
  select u.id from named n join idp_user i on i.id = n.id and i.state = 'active'
    join account_user u on u.id = i.user_id and u.state = 'active' and not u.support
$$;

-- When somebody did something last, and what they did in a vault.
create index audit_event_actor on audit_event (account_id, actor_id, vault_id, at);

do $$
declare t text;
begin
  foreach t in array array['recertification', 'recertification_reviewer', 'recertification_item'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I using (account_id = (select current_account())) with check (account_id = (select current_account()))', t);
  end loop;
end $$;
grant select, insert, update on recertification, recertification_item to leasehold_api;
grant select, insert on recertification_reviewer to leasehold_api;
grant select on recertification, recertification_reviewer, recertification_item to leasehold_worker;
grant update (state, remind_at, closed_at) on recertification to leasehold_worker;
grant update (state, decided_at) on recertification_item to leasehold_worker;
-- What silence removes ends as by the routes of grants and roles.
grant update (valid_to) on vault_grant, role_assignment to leasehold_worker;

insert into obligation_kind values ('recertification', 'relay');
create policy recertification_queue on obligation to leasehold_relay using (kind = 'recertification') with check (kind = 'recertification');
