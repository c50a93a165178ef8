import type { OrganizationId, RotationCampaignId } from './ids.ts'
import type { RotationCampaignState } from './states.ts'

/** What a campaign is at one instant. Ids, states, counts and durations only: it stands in workflow histories. */
export interface RotationCampaignFacts {
  readonly campaignId: RotationCampaignId
  readonly organizationId: OrganizationId
  readonly state: RotationCampaignState
  readonly waiting: number
  /** Of those that wait: how many need not wait for a rotation from before the campaign. */
  readonly ready: number
  readonly rotating: number
  /** How many more may be begun now. */
  readonly places: number
  /** ms until a rotation that goes on gives its place to the next one; null: none is taken. */
  readonly nextPlaceInMs: number | null
}
