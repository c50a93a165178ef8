-- What an organization asks of logins, where it differs from the installation's default (RFC 9470).
create table step_up_class (name text primary key);
insert into step_up_class values ('checkout'), ('reveal'), ('session'), ('break_glass'), ('admin');

create table step_up_rule (
  account_id uuid not null default current_account(),
  organization_id uuid not null,
  class text not null references step_up_class,
  acr text,
  max_age_seconds int check (max_age_seconds between 30 and 86400),
  primary key (account_id, organization_id, class),
  foreign key (account_id, organization_id) references organization (account_id, id)
);
alter table step_up_rule enable row level security;
alter table step_up_rule force row level security;
create policy tenant on step_up_rule using (account_id = (select current_account())) with check (account_id = (select current_account()));
grant select, insert, delete on step_up_rule to leasehold_api;
grant select on step_up_rule to leasehold_worker, leasehold_bridge;
