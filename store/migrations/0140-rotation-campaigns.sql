-- Rotation campaigns: a fixed list of identities, each of which gets a value that was made after the campaign began.
insert into rotation_trigger values ('campaign');

create table rotation_campaign_state (state text primary key);
insert into rotation_campaign_state values ('running'), ('paused'), ('aborting'), ('completed'), ('aborted');
insert into state_transition values
  ('rotation_campaign', 'running', 'paused'), ('rotation_campaign', 'running', 'aborting'), ('rotation_campaign', 'running', 'completed'),
  ('rotation_campaign', 'paused', 'running'), ('rotation_campaign', 'paused', 'aborting'), ('rotation_campaign', 'paused', 'completed'),
  ('rotation_campaign', 'aborting', 'aborted');

create table rotation_campaign (
  account_id uuid not null default current_account(),
  id uuid not null,
  organization_id uuid not null,
  state text not null default 'running' references rotation_campaign_state,
  -- How many of its identities are rotating at the same time.
  at_once int not null check (at_once between 1 and 50),
  reason_ciphertext bytea not null,
  reason_key_id text not null,
  started_by uuid not null,
  started_at timestamptz not null default app_clock(),
  finished_at timestamptz,
  primary key (account_id, id),
  check ((state in ('completed', 'aborted')) = (finished_at is not null)),
  foreign key (account_id, organization_id) references organization (account_id, id),
  foreign key (account_id, started_by) references account_user (account_id, id)
);
create index rotation_campaign_newest on rotation_campaign (account_id, started_at, id);
create trigger rotation_campaign_transition before update of state on rotation_campaign for each row execute function refuse_unknown_transition('rotation_campaign');

create table campaign_item_state (state text primary key);
insert into campaign_item_state values ('waiting'), ('rotating'), ('confirmed'), ('failed'), ('skipped');
-- rotating -> waiting: its rotation was cancelled, because somebody stored another value meanwhile.
insert into state_transition values
  ('campaign_item', 'waiting', 'rotating'), ('campaign_item', 'waiting', 'confirmed'), ('campaign_item', 'waiting', 'skipped'),
  ('campaign_item', 'rotating', 'confirmed'), ('campaign_item', 'rotating', 'failed'), ('campaign_item', 'rotating', 'waiting');

create table campaign_item (
  account_id uuid not null default current_account(),
  -- In the order of the list.
  id uuid not null default uuidv7(),
  campaign_id uuid not null,
  identity_id uuid not null,
  -- Where it was when the campaign began.
  vault_id uuid not null,
  -- The newest value that there was then, staged ones included: it and all before it must die.
  version_before int not null,
  state text not null default 'waiting' references campaign_item_state,
  rotation_id uuid,
  -- Why it was skipped, or its rotation failed.
  reason_class text,
  begun_at timestamptz,
  finished_at timestamptz,
  primary key (account_id, id),
  unique (account_id, campaign_id, identity_id),
  check (state <> 'rotating' or (rotation_id is not null and begun_at is not null)),
  foreign key (account_id, campaign_id) references rotation_campaign (account_id, id),
  foreign key (account_id, identity_id) references identity (account_id, id),
  foreign key (account_id, vault_id) references vault (account_id, id),
  foreign key (account_id, rotation_id) references rotation (account_id, id)
);
create index campaign_item_state_of on campaign_item (account_id, campaign_id, state, id);
create index campaign_item_open on campaign_item (account_id, identity_id) where state in ('waiting', 'rotating');
create trigger campaign_item_transition before update of state on campaign_item for each row execute function refuse_unknown_transition('campaign_item');

do $$
declare t text;
begin
  foreach t in array array['rotation_campaign', 'campaign_item'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I using (account_id = (select current_account())) with check (account_id = (select current_account()))', t);
  end loop;
end $$;
grant select, insert, update (state) on rotation_campaign to leasehold_api;
grant select, update (state, finished_at) on rotation_campaign to leasehold_worker;
grant select, insert, update (state, rotation_id, reason_class, finished_at) on campaign_item to leasehold_api;
grant select, update (state, rotation_id, reason_class, begun_at, finished_at) on campaign_item to leasehold_worker;
-- Whoever ends a rotation ends the item that waits for it.
grant select, update (state, rotation_id, reason_class, finished_at) on campaign_item to leasehold_bridge;

insert into obligation_kind values ('rotation_campaign', 'relay');
create policy rotation_campaign_queue on obligation to leasehold_relay using (kind = 'rotation_campaign') with check (kind = 'rotation_campaign');
