-- By epoch: the version that a claim was to set; null where it was to find out. A rotation may have another candidate by the time its result comes.
alter table job add column claimed_versions int[] not null default '{}';
