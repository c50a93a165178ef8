-- What a claim said after it was given up, while the rotation was still open. Null: nothing, or that nothing was changed.
alter table job add column late_outcome text, add column late_epoch int, add check ((late_outcome is null) = (late_epoch is null));
