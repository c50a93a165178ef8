-- The directory: who keeps a group's members, when a group or a role came to its end, and which record waits for whose first login.
create table member_source (name text primary key);
-- api: members are added and removed here; claims: the `groups` claim of a member's newest access token decides.
insert into member_source values ('api'), ('claims');

alter table idp_group add column source text not null default 'api' references member_source,
  add column version int not null default 1,
  add column created_at timestamptz not null default app_clock(),
  add column deleted_at timestamptz,
  drop constraint idp_group_account_id_name_key;
create unique index idp_group_name on idp_group (account_id, name) where deleted_at is null;

alter table role add column description text,
  add column version int not null default 1,
  add column created_at timestamptz not null default app_clock(),
  add column deleted_at timestamptz,
  drop constraint role_account_id_name_key;
create unique index role_name on role (account_id, name) where deleted_at is null;

alter table idp_user add column version int not null default 1,
  add column created_at timestamptz not null default app_clock(),
  -- When the token was issued whose `groups` claim was followed last: an older one changes nothing.
  add column groups_issued_at timestamptz;
create unique index idp_user_email on idp_user (account_id, lower(email));

-- A role may be given to somebody who has not logged in yet.
alter table role_assignment add column idp_user_id uuid,
  add column created_by uuid,
  drop constraint role_assignment_check,
  add constraint role_assignment_check check (num_nonnulls(user_id, idp_user_id, idp_group_id) = 1),
  add foreign key (account_id, idp_user_id) references idp_user (account_id, id),
  add foreign key (account_id, created_by) references account_user (account_id, id);
create index role_assignment_idp_user on role_assignment (account_id, idp_user_id) where valid_to is null;
create index role_assignment_role on role_assignment (account_id, role_id) where valid_to is null;
create unique index role_assignment_open on role_assignment
  (account_id, role_id, coalesce(user_id, idp_user_id, idp_group_id), coalesce(organization_id, '00000000-0000-0000-0000-000000000000'))
  where valid_to is null;

-- Tells the account of a first login by verified email, before any account is set; holds nothing else, so it has no row-level security.
create table awaited_login (
  email text not null,
  account_id uuid not null,
  idp_user_id uuid not null,
  primary key (account_id, idp_user_id),
  foreign key (account_id, idp_user_id) references idp_user (account_id, id) on delete cascade
);
create index awaited_login_email on awaited_login (email);
create function await_login() returns trigger language plpgsql as $$
begin
  if new.user_id is null and new.linked_at is null and new.state = 'active' then
    insert into awaited_login values (lower(new.email), new.account_id, new.id) on conflict do nothing;
  else
    delete from awaited_login where account_id = new.account_id and idp_user_id = new.id;
  end if;
  return null;
end $$;
create trigger idp_user_awaited after insert or update on idp_user for each row execute function await_login();
insert into awaited_login select lower(email), account_id, id from idp_user where user_id is null and linked_at is null and state = 'active';
grant select, insert, delete on awaited_login to leasehold_api;

-- Every way in which a user holds a role now. Rights follow from it and from vault_grant, and from nothing else.
create view held_role with (security_invoker) as
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
  where a.valid_from <= clock.now and (a.valid_to is null or a.valid_to > clock.now) and coalesce(a.user_id, d.user_id, g.user_id) is not null;
grant select on held_role to leasehold_api, leasehold_worker, leasehold_bridge;
grant select on member_source to leasehold_api, leasehold_worker, leasehold_bridge;
