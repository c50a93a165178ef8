/** Entry of the workflow bundle. */
export { accessRequest } from './access-request.ts'
export { lease } from './lease.ts'
export { reencryption } from './reencryption.ts'
export { rotation } from './rotation.ts'
export { rotationSweep } from './rotation-sweep.ts'
