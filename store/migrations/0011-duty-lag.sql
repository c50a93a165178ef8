-- Since when a duty waits to be told. Retries move next_at, so that alone an outage would look young.
alter table obligation add column due_since timestamptz not null default clock_timestamp();
create index obligation_quarantined on obligation (kind) where quarantined_at is not null;
