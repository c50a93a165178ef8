import { afterAll, beforeAll, describe } from 'vitest'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { dutyCommands } from './duties.ts'
import { identityCommands } from './identity.ts'
import { importCommands } from './import.ts'
import { recertificationCommands } from './recertification.ts'
import { requestCommands } from './requests.ts'
import { rotationCommands } from './rotation.ts'

// One stack for all of them, because starting one takes the most of the time.
let stack: Stack
beforeAll(async () => {
  stack = await startStack()
}, 120_000)
afterAll(() => stack?.stop())

describe('leasehold duties:', () => dutyCommands(() => stack))
describe('leasehold identity:', () => identityCommands(() => stack))
describe('leasehold import:', () => importCommands(() => stack))
describe('leasehold recertification:', () => recertificationCommands(() => stack))
// From then on shared-ro is used with approvals.
describe('leasehold requests:', () => requestCommands(() => stack))
describe('leasehold rotation:', () => rotationCommands(() => stack))
