-- The version that this host's own policy refused: it is never applied there again, a rotation makes another candidate instead.
alter table job add column refused_version int;
-- Whoever held the job until its time was over may still say that nothing was changed.
insert into state_transition values ('job', 'doubt', 'waiting');
