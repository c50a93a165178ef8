-- Accounts of MySQL and MariaDB, and of LDAP directories.
alter table host drop constraint host_adapter_check;
alter table host add constraint host_adapter_check check (adapter in ('postgres', 'ssh', 'mysql', 'ldap'));
