import { Option, type Command } from 'commander'
import { withApi, type ApiOptions } from './api.ts'

/** Results for people or for programs. */
export interface OutputOptions extends ApiOptions {
  readonly output: 'text' | 'json'
}

export const withOutput = (command: Command): Command =>
  withApi(command).addOption(new Option('-o, --output <format>', 'form of the answer').choices(['text', 'json']).default('text'))

export const say = (output: OutputOptions['output'], value: object, text: string): void =>
  void process.stdout.write(output === 'json' ? `${JSON.stringify(value)}\n` : text)

/** What people wrote, on one line each: a terminal acts on nothing in it. */
export const oneLine = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
