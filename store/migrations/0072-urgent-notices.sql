-- Messages of critical notices are looked for by a loop on PostgreSQL alone besides, whoever raised them and whatever Temporal does.
alter table notice_delivery add column urgent boolean not null default false;
create index notice_delivery_urgent on notice_delivery (next_at) where state = 'pending' and urgent;
create policy expirer_due on notice_delivery for select to leasehold_expirer using (state = 'pending' and urgent);
grant select (account_id, id, state, urgent, next_at, claimed_until) on notice_delivery to leasehold_expirer;
