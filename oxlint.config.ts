import { defineConfig, type OxlintOverride } from 'oxlint'

/**
 * Who may import whose values. Folders are trust zones and programs, not drawers: this table is the architecture, and
 * test/repository/import-rules.test.ts plants violations of it.
 */
interface Layer {
  /** Our folders (or single files) that this one may import, besides itself. */
  readonly own: readonly string[]
  /** The only packages it may import; absent: any that package.json names. */
  readonly packages?: readonly string[]
  /** Whether type-only imports are free. */
  readonly types?: boolean
}

const anything = ['*']

const layers: Readonly<Record<string, Layer>> = {
  schemas: { own: [], packages: ['zod', 'node:util'] },
  proofs: { own: [], packages: ['node:crypto'] },
  workflows: { own: ['schemas/rules', 'schemas/errors.ts'], packages: ['@temporalio/workflow', '@temporalio/common'], types: true },
  store: { own: ['schemas', 'proofs'] },
  secrets: { own: ['schemas', 'store'] },
  policy: { own: ['schemas', 'store'] },
  activities: { own: ['schemas', 'store', 'secrets', 'policy', 'workflows/messages.ts'] },
  api: { own: ['schemas', 'store', 'secrets', 'policy'] },
  'connector-bridge': { own: ['schemas', 'store', 'secrets', 'policy', 'proofs'] },
  connector: { own: ['schemas'] },
  console: { own: ['schemas'] },
  // `leasehold dev` and `leasehold status` ask the stack of this machine; nothing else of the stack is the command's.
  cli: { own: ['schemas', 'proofs', 'stack/home.ts', 'stack/login.ts', 'stack/print-status.ts'] },
  // Of the connector only how PostgreSQL stores a password: an installation sends verifiers, as the connector does.
  server: { own: ['schemas', 'proofs', 'store', 'secrets', 'policy', 'workflows', 'activities', 'api', 'connector-bridge', 'connector/scram.ts'] },
  stack: { own: anything },
  bench: { own: anything },
  test: { own: anything },
}

/** Groups are globs of which the last match wins; a leading # would make a comment of a pattern. */
const internal = '[#]*/**'
const relative = ['./**', '../**']

function refusals(folder: string, { own, packages, types = false }: Layer, up: string, insideByPath: readonly string[] = [folder]) {
  const ours = [...insideByPath, ...own].map((place) => (place.endsWith('.ts') ? `!#${place}` : `!#${place}/**`))
  const message = `${folder} may not import this: see the table in oxlint.config.ts.`
  const upwards = { group: [up, `?*/**/${up}`], message: 'Another folder is imported as #folder/file.ts, so that the table of folders holds.' }
  // One group for both: a later group that excepts an import would lift the refusal of an earlier one.
  const others =
    packages === undefined
      ? [internal, ...ours]
      : ['*', internal, ...relative.map((place) => `!${place}`), up, `?*/**/${up}`, ...packages.map((name) => `!${name}`), ...ours]
  return [{ group: others, allowTypeImports: types, message }, upwards]
}

const overrides = Object.entries(layers).flatMap(([folder, layer]): OxlintOverride[] => [
  { files: [`${folder}/*.{ts,tsx}`], rules: { 'no-restricted-imports': ['error', { patterns: refusals(folder, layer, '../**') }] } },
  { files: [`${folder}/*/**/*.{ts,tsx}`], rules: { 'no-restricted-imports': ['error', { patterns: refusals(folder, layer, '../../**') }] } },
])

/** Pure tables and arithmetic: errors and other rules, of everything else only types. */
const rules: Layer = { own: ['schemas/rules', 'schemas/errors.ts'], packages: [], types: true }
const pure = [
  ...refusals('schemas/rules', rules, '../../**', []),
  { group: ['../**', '!../errors.ts'], allowTypeImports: true, message: 'schemas/rules: of the other schemas only types.' },
]

export default defineConfig({
  plugins: ['typescript', 'import', 'unicorn', 'promise', 'node'],
  categories: { correctness: 'error', suspicious: 'error' },
  rules: {
    'import/no-default-export': 'error',
    'import/no-cycle': 'error',
    'no-var': 'error',
    'no-console': 'error',
    'max-lines': ['error', { max: 300, skipBlankLines: true, skipComments: true }],
    eqeqeq: ['error', 'always', { null: 'ignore' }],
    // `pg.Client` and `z.object` are how those packages are meant to be used.
    'import/no-named-as-default-member': 'off',
    'import/no-named-as-default': 'off',
    // Closures near their use read better than module-level names, and most sorted arrays are fresh.
    'unicorn/consistent-function-scoping': 'off',
    'unicorn/no-array-sort': 'off',
    // A closure that another callback changes looks constant to this rule.
    'no-unmodified-loop-condition': 'off',
    // Refusing control characters takes control characters.
    'no-control-regex': 'off',
    'no-shadow': 'off',
    'unicorn/no-array-fill-with-reference-type': 'off',
    'promise/always-return': 'off',
    'promise/no-promise-in-callback': 'off',
  },
  ignorePatterns: ['node_modules', '.leasehold'],
  overrides: [
    ...overrides,
    { files: ['schemas/rules/**'], rules: { 'no-restricted-imports': ['error', { patterns: pure }] } },
    { files: ['stack/**', 'cli/**', 'test/**'], rules: { 'no-console': 'off' } },
    { files: ['*.config.ts', '**/*.d.ts'], rules: { 'import/no-default-export': 'off' } },
  ],
})
