-- What waits to be sent is watched over all accounts: the mail server of the installation has no channel that could be called dead.
drop policy expirer_due on notice_delivery;
create policy expirer_pending on notice_delivery for select to leasehold_expirer using (state = 'pending');
grant select (channel_id, attempts) on notice_delivery to leasehold_expirer;
