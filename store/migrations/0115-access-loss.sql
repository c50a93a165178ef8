-- What a person saw dies when they may no longer see it, where the identity says so.
alter table identity add column rotate_after_access_loss boolean not null default false;
-- The value must die because its reader lost their access, and not because a lease ended.
alter table exposure add column lost_access boolean not null default false;
create index exposure_seen on exposure (account_id, user_id) where must_die_at is null;
insert into rotation_trigger values ('access_loss');

-- Grants that have ended by themselves, until somebody has looked at what they gave.
alter table vault_grant add column end_reviewed boolean not null default false;
create index vault_grant_ended on vault_grant (expires_at) where expires_at is not null and valid_to is null and not end_reviewed;
create policy expirer_ended on vault_grant for select to leasehold_expirer using (expires_at is not null and valid_to is null and not end_reviewed);
grant select (account_id, id, vault_id, expires_at, valid_to, end_reviewed) on vault_grant to leasehold_expirer;
grant update (end_reviewed) on vault_grant to leasehold_worker;
