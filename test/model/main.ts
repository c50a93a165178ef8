import { parseArgs } from 'node:util'

/**
 * `npm run model:approvals [-- --sequences N] [--seed N] [--shrink]`: sequences of events against the real store
 * (test/store/access-request-model.test.ts); the same seed gives the same ones. `--shrink` looks for the shortest that fails.
 */
const { values } = parseArgs({
  options: { sequences: { type: 'string', default: '1000' }, seed: { type: 'string', default: '1' }, shrink: { type: 'boolean', default: false } },
})
process.env['LEASEHOLD_SEQUENCES'] = values.sequences
process.env['LEASEHOLD_SEED'] = values.seed
if (values.shrink) process.env['LEASEHOLD_SHRINK'] = 'true'
process.argv.splice(2, Infinity, 'access-request-model')
await import('../run.ts')
