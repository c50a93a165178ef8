-- How long a rotation may be pending before people are told and it is listed as stuck (S2 "Rotation stuck in pending").
alter table organization add column rotation_limit_minutes int not null default 1440 check (rotation_limit_minutes between 5 and 43200);
-- They are told once.
alter table rotation add column stuck_told_at timestamptz;
-- How many there are is counted over all accounts, whether or not Temporal is there to tell anybody.
create index rotation_pending on rotation (started_at) where state = 'pending';
create policy stuck on rotation for select to leasehold_expirer using (state = 'pending');
create policy stuck on organization for select to leasehold_expirer using (true);
grant select (account_id, id, organization_id, state, started_at) on rotation to leasehold_expirer;
grant select (account_id, id, rotation_limit_minutes) on organization to leasehold_expirer;
