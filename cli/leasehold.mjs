#!/usr/bin/env node
import { run } from '../stack/bootstrap.mjs'

await run('cli/main.ts', process.argv.slice(2))
