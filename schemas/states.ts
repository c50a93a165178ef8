/** States, as unions; schemas/rules/ has their transitions and the database the same rows. */
export type LeaseState = 'active' | 'ended'
export type LeaseMode = 'standard' | 'break_glass' | 'support'
export type LeaseEndCause = 'checked_in' | 'expired' | 'forced' | 'revoked' | 'grant_ended' | 'emergency' | 'superseded'
export type AccessRequestState = 'pending' | 'approved' | 'denied' | 'expired' | 'cancelled' | 'used'
export type RecertificationState = 'open' | 'ended' | 'cancelled'
export type ItemDecision = 'open' | 'keep' | 'remove' | 'refused' | 'gone'
export type RotationState = 'pending' | 'confirmed' | 'failed' | 'cancelled'
export type RotationPhase = 'queued' | 'staged' | 'waiting' | 'applying' | 'in_doubt' | 'done'
export type RotationTrigger = 'manual' | 'scheduled' | 'after_use' | 'break_glass' | 'access_loss' | 'campaign' | 'drift' | 'enroll'
/** aborting: nothing more is begun, and what is rotating goes on to its end. */
export type RotationCampaignState = 'running' | 'paused' | 'aborting' | 'completed' | 'aborted'
export type CampaignItemState = 'waiting' | 'rotating' | 'confirmed' | 'failed' | 'skipped'
export type JobKind = 'reset' | 'probe'
/** What a connector does: for a rotation, or a check, which logs in once and changes nothing. */
export type WorkKind = JobKind | 'check'
export type JobState = 'waiting' | 'claimed' | 'doubt' | 'confirmed' | 'failed' | 'cancelled'
/** What a rotation that is pending waits for. */
export type WaitCause = 'person' | 'connector-revoked' | 'connector-offline' | 'lease' | 'connector' | 'probe' | 'worker' | 'target' | 'offer'
/** Whether the known version of an identity on a host is proven. */
export type HostState = 'in_sync' | 'unknown' | 'drifted'
export type CheckState = 'waiting' | 'claimed' | 'done' | 'cancelled'
/** What a check came to; unknown: it was given up, and nobody can tell. */
export type CheckOutcome = 'in_sync' | 'drifted' | 'unreachable' | 'unknown'
/** How an identity is on a host: what is proven of its known version, and whether anybody can ask. */
export type HostHealth = CheckOutcome
