create table access_state (state text primary key);
insert into access_state values ('active'), ('disabled');

-- A person or client who can log in: (iss, sub) and nothing else identifies them.
create table account_user (
  account_id uuid not null default current_account() references account,
  id uuid not null default uuidv7(),
  iss text not null,
  sub text not null,
  email text,
  name text,
  state text not null default 'active' references access_state,
  created_at timestamptz not null default app_clock(),
  primary key (account_id, id),
  unique (iss, sub)
);

-- Tells the account of a token before any account is set; holds nothing else, so it has no row-level security.
create table login (
  iss text not null,
  sub text not null,
  account_id uuid not null,
  user_id uuid not null,
  primary key (iss, sub),
  foreign key (account_id, user_id) references account_user (account_id, id) on delete cascade
);

-- A directory record of the identity provider. Vault access is granted to these; a user is linked once, by verified email.
create table idp_user (
  account_id uuid not null default current_account() references account,
  id uuid not null default uuidv7(),
  email text not null,
  name text,
  user_id uuid,
  state text not null default 'active' references access_state,
  linked_at timestamptz,
  primary key (account_id, id),
  unique (account_id, email),
  unique (account_id, user_id),
  foreign key (account_id, user_id) references account_user (account_id, id)
);

create table idp_group (
  account_id uuid not null default current_account() references account,
  id uuid not null default uuidv7(),
  name text not null,
  primary key (account_id, id),
  unique (account_id, name)
);

-- Memberships, role assignments and grants are closed with valid_to, never deleted: "as of" questions stay answerable.
create table idp_group_member (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  group_id uuid not null,
  idp_user_id uuid not null,
  valid_from timestamptz not null default app_clock(),
  valid_to timestamptz,
  primary key (account_id, id),
  foreign key (account_id, group_id) references idp_group (account_id, id),
  foreign key (account_id, idp_user_id) references idp_user (account_id, id)
);
create unique index idp_group_member_open on idp_group_member (account_id, group_id, idp_user_id) where valid_to is null;
create index idp_group_member_user on idp_group_member (account_id, idp_user_id) where valid_to is null;

create table permission (name text primary key);
insert into permission values
  ('pam_vaults.view'), ('pam_vaults.manage'), ('pam_vaults.break_glass'), ('hosts.manage_users'),
  ('pam_requests.approve'), ('pam_sessions.manage'), ('pam_audit.view'), ('connectors.manage'),
  ('support_access.manage'), ('organizations.manage');

create table role (
  account_id uuid not null default current_account() references account,
  id uuid not null default uuidv7(),
  name text not null,
  -- Account owners hold every permission and pass the grant check; nothing else is skipped.
  owner boolean not null default false,
  primary key (account_id, id),
  unique (account_id, name)
);

create table role_permission (
  account_id uuid not null default current_account(),
  role_id uuid not null,
  permission text not null references permission,
  primary key (account_id, role_id, permission),
  foreign key (account_id, role_id) references role (account_id, id)
);

create table role_assignment (
  account_id uuid not null default current_account(),
  id uuid not null default uuidv7(),
  role_id uuid not null,
  user_id uuid,
  idp_group_id uuid,
  -- Null: the role holds in the whole account.
  organization_id uuid,
  valid_from timestamptz not null default app_clock(),
  valid_to timestamptz,
  primary key (account_id, id),
  check (num_nonnulls(user_id, idp_group_id) = 1),
  foreign key (account_id, role_id) references role (account_id, id),
  foreign key (account_id, user_id) references account_user (account_id, id),
  foreign key (account_id, idp_group_id) references idp_group (account_id, id),
  foreign key (account_id, organization_id) references organization (account_id, id)
);
create index role_assignment_user on role_assignment (account_id, user_id) where valid_to is null;
create index role_assignment_group on role_assignment (account_id, idp_group_id) where valid_to is null;
