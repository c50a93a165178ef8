-- The case that a lease is for, as its holder or the access request that was used for it named it.
alter table lease add column ticket text check (length(ticket) <= 100);
