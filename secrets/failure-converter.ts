import { DefaultFailureConverter } from '@temporalio/common'

/** Messages and stacks of failures are encoded like payloads; in clear stays only the type, which is a code of our error table. */
export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true })
