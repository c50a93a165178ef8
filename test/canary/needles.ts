/** Something that was planted and must not be found, in one of the forms that it may have been written in. */
export interface Needle {
  /** Which secret it is; never the secret. */
  readonly name: string
  readonly form: string
  readonly bytes: Buffer
}

/** A secret in every form that a log, a dump or a message may give it. */
export function needlesOf(name: string, secret: string | Buffer): Needle[] {
  const raw = Buffer.from(secret)
  const text = raw.toString('utf8')
  const forms: Record<string, string | Buffer> = {
    raw,
    hex: raw.toString('hex'),
    HEX: raw.toString('hex').toUpperCase(),
    url: [...raw]
      .map((byte) => (/[\w.~-]/.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`))
      .join(''),
    json: JSON.stringify(text).slice(1, -1),
    unicode: [...text].map((character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''),
    utf16: Buffer.from(text, 'utf16le'),
  }
  for (const shift of [0, 1, 2]) {
    const code = Buffer.concat([Buffer.alloc(shift), raw])
      .toString('base64')
      .replace(/=+$/, '')
    // What depends on the bytes before and behind the secret is left out.
    const inner = code.slice(Math.ceil((shift * 4) / 3), (raw.length + shift) % 3 === 0 ? undefined : -1)
    forms[`base64+${shift}`] = inner
    forms[`base64url+${shift}`] = inner.replaceAll('+', '-').replaceAll('/', '_')
  }
  const seen = new Set<string>()
  return Object.entries(forms).flatMap(([form, value]) => {
    const bytes = Buffer.from(value)
    const key = bytes.toString('latin1')
    if (bytes.length < 8 || seen.has(key)) return []
    seen.add(key)
    return [{ name, form, bytes }]
  })
}

/** One place where something may have been written, and what is written there. */
export interface Sink {
  readonly name: string
  readonly bytes: Buffer
}

/** @returns `secret (form) in sink` for each find */
export const scan = (sinks: readonly Sink[], needles: readonly Needle[]): string[] =>
  sinks.flatMap((sink) => needles.filter((needle) => sink.bytes.includes(needle.bytes)).map((needle) => `${needle.name} (${needle.form}) in ${sink.name}`))
