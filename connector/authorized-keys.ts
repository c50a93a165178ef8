/**
 * The text of an authorized_keys file (sshd(8)), byte for byte as latin1. What is not ours stays as it is: comments, options,
 * blank lines, other keys, and how their lines end.
 */

/** A public key as it stands in such a file. */
export interface PublicKey {
  readonly type: string
  /** Base64 of the key's own encoding (RFC 4253 6.6). */
  readonly blob: string
}

/** A line, its line end included. */
interface KeyLine {
  readonly text: string
  /** Absent: the line holds no key. */
  readonly key?: PublicKey
  readonly options: string
  readonly comment: string
}

/** Options may hold blanks inside double quotes, where a backslash keeps a quote from ending them. */
const line =
  /^[ \t]*((?:"(?:\\.|[^"\\])*"|[^ \t"#])(?:"(?:\\.|[^"\\])*"|[^ \t"])*[ \t]+)??((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[^ \t,"]+)[ \t]+([A-Za-z0-9+/]+=*)(?:[ \t]+([^\r\n]*))?[\r\n]*$/

function readLine(text: string): KeyLine {
  const [, options = '', type, blob, comment = ''] = line.exec(text) ?? []
  return type === undefined || blob === undefined ? { text, options, comment } : { text, key: { type, blob }, options: options.trimEnd(), comment }
}

/** A last line without its end is a line too. */
const linesOf = (file: string): KeyLine[] => (file.match(/[^\n]*\n|[^\n]+$/g) ?? []).map(readLine)

/**
 * The file with the new key in it: before the line of the old one, with the same options and comment, because what the old key
 * may do the new one may do, and no more; without an old one at the end. A file that has the new key stays as it is.
 */
export function withKey(file: string, added: PublicKey, old: PublicKey | undefined): string {
  const lines = linesOf(file)
  if (lines.some(({ key }) => key?.blob === added.blob)) return file
  const at = lines.findIndex(({ key }) => key !== undefined && key.blob === old?.blob)
  const { options = '', comment = 'leasehold' } = lines[at] ?? {}
  const text = `${[options, added.type, added.blob, comment].filter((part) => part !== '').join(' ')}\n`
  if (at >= 0) return [...lines.slice(0, at).map((one) => one.text), text, ...lines.slice(at).map((one) => one.text)].join('')
  return `${file}${file === '' || file.endsWith('\n') ? '' : '\n'}${text}`
}

/** The file without this key, wherever it stands. */
export const withoutKey = (file: string, gone: PublicKey): string =>
  linesOf(file)
    .filter(({ key }) => key?.blob !== gone.blob)
    .map(({ text }) => text)
    .join('')
