import { AccountId, IdentityId } from '#schemas/ids.ts'
import { lockIdentity } from '#store/checkout-facts.ts'
import { connect, inAccount } from '#store/connection.ts'

/** A replica that is stopped inside a transaction, with the lock of an identity: LEASEHOLD_TEST_FROZEN = url, password, account, identity as JSON. */
const { url, password, account, identity } = JSON.parse(process.env['LEASEHOLD_TEST_FROZEN'] ?? '{}') as Record<string, string>
const db = connect({ url: url ?? '', user: 'leasehold_api', password: password ?? '', max: 1 })

const outcome = await inAccount(db, AccountId.parse(account), async (trx) => {
  await lockIdentity(trx, IdentityId.parse(identity))
  process.stdout.write('locked\n')
  await new Promise((resolve) => setTimeout(resolve, 20))
  process.kill(process.pid, 'SIGSTOP')
  await trx.updateTable('identity').set({ username: 'late' }).where('id', '=', IdentityId.parse(identity)).execute()
}).then(
  () => 'committed',
  (error: { code?: string }) => error.code ?? 'failed',
)
process.stdout.write(`${outcome}\n`)
await db.destroy()
