-- When the holder's access to the vault ends by itself, as it was when the end of the lease was last decided: tells a lease whose
-- grant has run out from one whose time is over.
alter table lease add column grant_ends_at timestamptz;
