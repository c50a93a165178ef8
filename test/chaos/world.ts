import { expectStatus, type ApiClient } from '#stack/api-client.ts'
import { startStack, type Stack, type TestStackOptions } from '#stack/test-stack.ts'
import { useProduct, type Product } from '../stack/product.ts'
import type { Cell } from './cells.ts'
import { loginFaults } from './logins.ts'
import { openPlaces, type Places } from './places.ts'
import type { Scene } from './scene.ts'
import { unsettled } from './settled.ts'
import { repair } from './standstill.ts'
import type { Account, Target } from './target.ts'
import { seededTarget, targetsOf } from './targets.ts'
import { keepValues, type VaultValues } from './vault-values.ts'

/** A stack to be broken, and real targets beside it. */
export interface World {
  readonly stack: Stack
  readonly targets: readonly Target[]
  readonly seeded: Target
  readonly missing: Places['missing']
  /** @returns what is wrong when everything runs again; empty: every promise was kept */
  readonly run: (cell: Cell, awayMs: number) => Promise<string[]>
  /** What is wrong with the accounts of all cells so far: nobody may have changed one later. */
  readonly lastLook: () => Promise<string[]>
  readonly end: () => Promise<void>
}

/** Tokens live for 15 minutes. */
const tokenUse = 300_000

/** @param wanted names of the places beside the seeded target; absent: all that this machine can have */
export async function openWorld({ places: wanted, ...options }: TestStackOptions & { readonly places?: readonly string[] } = {}): Promise<World> {
  const stack = await startStack(options)
  let places: Places = { places: [], missing: new Map(), end: async () => {} }
  const end = async (): Promise<void> => {
    await places.end()
    await stack.stop()
  }
  try {
    const people = usePeople(stack)
    const { product } = await people()
    const values = await keepValues(stack, product.sql)
    const mia = async (): Promise<ApiClient> => (await people()).mia
    const { items } = expectStatus(await (await mia()).get<{ items: { id: string; name: string }[] }>('/v1/identity-groups?limit=100'), 200)
    const vault = { mia, vaultId: items.find(({ name }) => name === 'demo')?.id ?? '' }
    places = await openPlaces(stack, vault, wanted)
    const used = new Set<Account>()
    return {
      stack,
      targets: targetsOf(places.places, vault),
      seeded: seededTarget(stack, product),
      missing: places.missing,
      run: (cell, awayMs) => run(stack, people, values, used, cell, awayMs),
      lastLook: async () => {
        const faults: string[] = []
        for (const account of used) faults.push(...(await loginFaults((await people()).product, values, account)).map((fault) => `at the end, ${fault}`))
        return faults
      },
      end,
    }
  } catch (error) {
    await end()
    throw error
  }
}

type People = () => Promise<{ readonly product: Product; readonly mia: ApiClient }>

function usePeople(stack: Stack): People {
  let known: { readonly until: number; readonly people: ReturnType<People> } | undefined
  return () => {
    if (known === undefined || Date.now() > known.until) {
      const people = useProduct(stack).then(async (product) => ({ product, mia: await product.clientOf('mia') }))
      known = { until: Date.now() + tokenUse, people }
      people.catch(() => (known = undefined))
    }
    return known.people
  }
}

async function run(stack: Stack, people: People, values: VaultValues, used: Set<Account>, cell: Cell, awayMs: number): Promise<string[]> {
  const attempt = async (): Promise<string[]> => {
    const account = await cell.target.account()
    const scene: Scene = { stack, values, account, awayMs, ...(await people()) }
    const aftermath = await cell.provoke(scene)
    await repair(stack)
    const wrong = await unsettled(scene, aftermath)
    // What is broken already is not told twice.
    if (wrong.length === 0) used.add(account)
    return wrong
  }
  const wrong = await attempt().catch(told)
  for (const { line } of cell.target.places) await line?.set('pass')
  return [...wrong, ...(await repair(stack).then(() => [], told))]
}

const told = (error: unknown): string[] => [error instanceof Error ? error.message : String(error)]
