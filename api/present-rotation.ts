import type { Rotation } from '#schemas/rotation.ts'
import type { RotationView } from '#store/rotation-view.ts'

/** A rotation in the words of the API. */
export const presentRotation = ({ vaultId, ...rotation }: RotationView): Rotation => ({ ...rotation, identityGroupId: vaultId }) as Rotation
