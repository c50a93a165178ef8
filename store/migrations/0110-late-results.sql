-- Claims of a job whose result was heard: said again it is a repetition; one that comes late is news of the target.
alter table job add column reported_epochs int[] not null default '{}';
