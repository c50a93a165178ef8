-- Rows from before vault keys (encryption versions 0 and 1) are taken and read only while their organization is open for them.
-- Closing is final: without it whoever can write to this database could turn a value back to one that nothing authenticates.
alter table organization add column legacy_closed_at timestamptz, add check (not (legacy_open and legacy_closed_at is not null));
create function refuse_reopening() returns trigger language plpgsql as $$
begin
  raise exception 'an organization that was closed for legacy rows stays closed' using errcode = 'integrity_constraint_violation';
end $$;
create trigger organization_legacy_final before update of legacy_open, legacy_closed_at on organization for each row
  when (old.legacy_closed_at is not null and (new.legacy_open or new.legacy_closed_at is distinct from old.legacy_closed_at))
  execute function refuse_reopening();
