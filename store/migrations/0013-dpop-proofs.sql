-- Proofs of possession that were used (RFC 9449 section 11.1), known by a hash over their key and jti: one proof has many spellings.
create table dpop_proof (
  digest bytea primary key check (octet_length(digest) = 32),
  -- Longer than any proof is believed, so that a clock which is set back revives none.
  forget_at timestamptz not null default clock_timestamp() + interval '10 minutes'
);
create index dpop_proof_forget on dpop_proof (forget_at);
grant insert on dpop_proof to leasehold_api;
grant select, delete on dpop_proof to leasehold_expirer;
