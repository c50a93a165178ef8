import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { killCases, type KillCase } from '../chaos/kill-cases.ts'
import { randomOf, shuffled } from '../chaos/random.ts'
import { settleLimit, unsettled } from '../chaos/settled.ts'
import { useProduct, type Product } from './product.ts'

/** A sample of `npm run chaos -- core`, of at most a minute; another LEASEHOLD_SEED is another sample. */
const seed = Number(process.env['LEASEHOLD_SEED'] ?? 1)
const cases = killCases(1_000)
const sample = (size: number, part: (name: string) => boolean): KillCase[] =>
  shuffled(
    cases.filter(({ name }) => part(name)),
    randomOf(seed),
  ).slice(0, size)

let stack: Stack
let product: Product
beforeAll(async () => {
  stack = await startStack()
  product = await useProduct(stack)
}, 120_000)
afterAll(() => stack?.stop())

describe('whatever dies at whatever instant: everything that was owed is done, once, and the vaulted password is the one that logs in', () => {
  const chosen = [
    ...sample(1, (name) => name.startsWith('the API')),
    ...sample(1, (name) => name.startsWith('bridge dies')),
    ...sample(2, (name) => name.startsWith('connector dies')),
    ...sample(1, (name) => name.includes('is away')),
  ]
  test.each(chosen)(
    '$name',
    async ({ provoke }) => {
      expect(await unsettled(stack, product, await provoke(stack, product))).toEqual([])
    },
    settleLimit + 60_000,
  )
})
