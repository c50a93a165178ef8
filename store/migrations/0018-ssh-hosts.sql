-- Linux accounts over SSH. Without a pinned host key nobody could say whom a password is sent to.
alter table host drop constraint host_adapter_check;
alter table host add constraint host_adapter_check check (adapter in ('postgres', 'ssh'));
alter table host add constraint host_key_pinned check (adapter <> 'ssh' or parameters ? 'hostKey');
