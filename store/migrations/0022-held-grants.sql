-- Every way in which a user has access to a vault now, beside roles.
create view held_grant with (security_invoker) as
  with clock as materialized (select app_clock() as now)
  select g.account_id, coalesce(d.user_id, m.user_id) as user_id, g.id as grant_id, g.vault_id, g.level, g.idp_group_id, g.expires_at as ends_at
  from vault_grant g
    left join idp_user d on d.account_id = g.account_id and d.id = g.idp_user_id and d.state = 'active'
    left join (select o.account_id, o.group_id, i.user_id from idp_group_member o
      join idp_user i on i.account_id = o.account_id and i.id = o.idp_user_id and i.state = 'active', clock
      where o.valid_from <= clock.now and (o.valid_to is null or o.valid_to > clock.now)) m on m.account_id = g.account_id and m.group_id = g.idp_group_id,
    clock
  where g.valid_from <= clock.now and (g.valid_to is null or g.valid_to > clock.now) and (g.expires_at is null or g.expires_at > clock.now)
    and coalesce(d.user_id, m.user_id) is not null;
grant select on held_grant to leasehold_api;
