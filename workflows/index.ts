/** Entry of the workflow bundle. */
export { breakGlassReview } from './break-glass-review.ts'
export { accessRequest } from './access-request.ts'
export { lease } from './lease.ts'
export { notification } from './notification.ts'
export { reencryption } from './reencryption.ts'
export { rotation } from './rotation.ts'
export { supportAccess } from './support-access.ts'
export { rotationSweep } from './rotation-sweep.ts'
