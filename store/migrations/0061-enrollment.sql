-- An account of a host on its way into a vault: its identity is there and nobody can use it until the host has the new password.
insert into access_state values ('enrolling');
alter table account_user add check (state <> 'enrolling');
alter table idp_user add check (state <> 'enrolling');
insert into rotation_trigger values ('enroll');
-- Of an enrollment that fails nothing stays, whoever takes the result.
grant delete on identity_host to leasehold_worker, leasehold_bridge;
