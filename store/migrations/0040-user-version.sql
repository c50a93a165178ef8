-- The ETag of a user: who changes one may say which version is meant.
alter table account_user add column version int not null default 1;
