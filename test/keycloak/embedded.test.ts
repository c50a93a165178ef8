import { afterAll, beforeAll, describe } from 'vitest'
import { startEmbedded } from './embedded.ts'
import { promises } from './promises.ts'
import { createProviderWorld, type ProviderWorld } from './world.ts'

let world: ProviderWorld
beforeAll(async () => {
  world = await createProviderWorld(await startEmbedded())
})
afterAll(async () => {
  await world?.stop()
  await world?.provider.stop()
})

describe('with the embedded provider', () => promises(() => world))
