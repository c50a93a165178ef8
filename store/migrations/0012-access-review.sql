-- What a person's leases rest on has changed: each is looked at once more, whatever dies between the change and the look.
insert into obligation_kind values ('vault_access', 'review'), ('user_access', 'review');
create policy review_queue on obligation to leasehold_relay
  using (kind in ('vault_access', 'user_access')) with check (kind in ('vault_access', 'user_access'));
