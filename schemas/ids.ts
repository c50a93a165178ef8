import { z } from 'zod'

/**
 * A UUID (RFC 9562) in its one spelling: to PostgreSQL upper and lower case are the same id, and whatever we compare, look up in a
 * policy or bind a ciphertext to must agree with it.
 */
export const Uuid = z.uuid().toLowerCase()

/** All ids are UUIDs; the brand keeps one kind from being passed for another. */
const id = <Brand extends string>() => Uuid.brand<Brand>()

export const AccountId = id<'AccountId'>()
export const OrganizationId = id<'OrganizationId'>()
export const UserId = id<'UserId'>()
export const VaultId = id<'VaultId'>()
export const IdentityId = id<'IdentityId'>()
export const HostId = id<'HostId'>()
export const ConnectorId = id<'ConnectorId'>()
export const LeaseId = id<'LeaseId'>()
export const RotationId = id<'RotationId'>()
export const JobId = id<'JobId'>()
export const ChannelId = id<'ChannelId'>()
export const AccessRequestId = id<'AccessRequestId'>()
export const ApprovalPolicyId = id<'ApprovalPolicyId'>()
export const RotationCampaignId = id<'RotationCampaignId'>()
export const RecertificationId = id<'RecertificationId'>()

export type AccountId = z.infer<typeof AccountId>
export type OrganizationId = z.infer<typeof OrganizationId>
export type UserId = z.infer<typeof UserId>
export type VaultId = z.infer<typeof VaultId>
export type IdentityId = z.infer<typeof IdentityId>
export type HostId = z.infer<typeof HostId>
export type ConnectorId = z.infer<typeof ConnectorId>
export type LeaseId = z.infer<typeof LeaseId>
export type RotationId = z.infer<typeof RotationId>
export type JobId = z.infer<typeof JobId>
export type ChannelId = z.infer<typeof ChannelId>
export type AccessRequestId = z.infer<typeof AccessRequestId>
export type ApprovalPolicyId = z.infer<typeof ApprovalPolicyId>
export type RotationCampaignId = z.infer<typeof RotationCampaignId>
export type RecertificationId = z.infer<typeof RecertificationId>
