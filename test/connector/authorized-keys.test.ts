import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { withKey, withoutKey } from '#connector/authorized-keys.ts'

const blobOf = (name: string): string => Buffer.from(`key ${name}`).toString('base64')
const key = (name: string) => ({ type: 'ssh-ed25519', blob: blobOf(name) })
const old = `ssh-ed25519 ${blobOf('old')}`
const next = `ssh-ed25519 ${blobOf('new')}`

/** Lines that are none of ours, as people and programs write them. */
const foreign = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }).map((text) => Buffer.from(text.replaceAll(/[\n]/g, ''), 'utf8').toString('latin1')),
  fc.constantFrom(
    '',
    '   ',
    '# a comment',
    `# ${old} was here`,
    `ssh-rsa ${blobOf('other')} somebody@else`,
    `  \tecdsa-sha2-nistp256 ${blobOf('third')}`,
    `command="echo \\"${old} x\\"" ssh-rsa ${blobOf('other')} c`,
    `from="10.0.0.0/8",no-pty ssh-ed25519 ${blobOf('fourth')}\r`,
    `command="unfinished ${old}`,
  ),
)
const file = fc.record({ before: fc.array(foreign, { maxLength: 6 }), after: fc.array(foreign, { maxLength: 6 }), isEnded: fc.boolean() })

describe('a swap of keys', () => {
  test('keeps every other line byte for byte, whatever they are, and leaves the new key in the place of the old one', () => {
    fc.assert(
      fc.property(
        file,
        fc.constantFrom('', 'no-pty ', 'from="1.2.3.4",command="a \\" b" '),
        fc.constantFrom('', ' ops@work'),
        ({ before, after, isEnded }, options, comment) => {
          const text = (ours: readonly string[], end = isEnded ? '\n' : '') => [...before, ...ours, ...after].join('\n') + end
          const both = withKey(text([`${options}${old}${comment}`]), key('new'), key('old'))
          expect(both).toBe(text([`${options}${next}${comment}`, `${options}${old}${comment}`]))
          const last = after.length === 0
          expect(withoutKey(both, key('old'))).toBe(last ? [...before, `${options}${next}${comment}`, ''].join('\n') : text([`${options}${next}${comment}`]))
          expect(withoutKey(both, key('new'))).toBe(text([`${options}${old}${comment}`]))
        },
      ),
      { numRuns: 500 },
    )
  })

  test('done twice changes nothing more', () => {
    const once = withKey(`${old}\n`, key('new'), key('old'))
    expect(withKey(once, key('new'), key('old'))).toBe(once)
    const swapped = withoutKey(once, key('old'))
    expect(withoutKey(swapped, key('old'))).toBe(swapped)
    expect(swapped).toBe(`${next}\n`)
  })

  test('where the old key is not there adds the new one at the end, with a comment that says whose it is', () => {
    expect(withKey('', key('new'), undefined)).toBe(`${next} leasehold\n`)
    expect(withKey('# no end', key('new'), key('old'))).toBe(`# no end\n${next} leasehold\n`)
  })

  test('takes every line of the old key away, with whatever options', () => {
    expect(withoutKey(`${old} a\nno-pty ${old} b\n# ${old}\n`, key('old'))).toBe(`# ${old}\n`)
  })
})
