-- An identity may move to another vault. The hashes of its old values cannot be made anew, so each names the vault whose key it
-- was made with. Row-level security is lifted for this one statement: the owner of the tables belongs to no account.
alter table password_history add column vault_id uuid;
alter table password_history no force row level security;
alter table identity no force row level security;
update password_history p set vault_id = i.vault_id from identity i where i.account_id = p.account_id and i.id = p.identity_id;
alter table identity force row level security;
alter table password_history force row level security;
alter table password_history alter column vault_id set not null;
alter table password_history add foreign key (account_id, vault_id) references vault (account_id, id);

-- OpenSSH line of the public half, for a value that is an SSH key.
alter table credential_version add column public_key text;
