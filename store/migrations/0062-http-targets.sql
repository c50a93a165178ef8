-- Accounts of HTTP APIs, whose keys and passwords are set by calls. Without those nothing could be said to such a host.
alter table host drop constraint host_adapter_check;
alter table host add constraint host_adapter_check check (adapter in ('postgres', 'ssh', 'mysql', 'ldap', 'http'));
alter table host add constraint host_calls_given check (adapter <> 'http' or parameters ? 'calls');
