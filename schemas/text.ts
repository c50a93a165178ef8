import { z } from 'zod'

/** C0 controls except tab, line feed and carriage return, and DEL: PostgreSQL refuses U+0000, logs and terminals act on the others. */
const controls = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/

/**
 * Text of `minimum` to `maximum` characters. A character is a code point, so that an emoji counts once; lone surrogates
 * (which UTF-8 cannot carry) and control characters are refused.
 */
export const text = (minimum: number, maximum: number) =>
  z
    .string()
    .refine((value) => value.isWellFormed() && !controls.test(value), { error: 'must not hold control characters', abort: true })
    .refine(
      (value) => {
        const length = [...value].length
        return length >= minimum && length <= maximum
      },
      { error: `must be ${minimum} to ${maximum} characters long` },
    )
    .meta({ minLength: minimum, maxLength: maximum })

/** One line that tells a thing from its neighbours; blanks around it are not part of it. */
export const name = text(1, 200)
  .refine((value) => !/[\t\n\r]/.test(value), { error: 'must be one line' })
  .refine((value) => value.trim() === value, { error: 'must not start or end with a blank' })

/** A moment as ISO 8601 with an offset, e.g. `2027-01-31T09:00:00Z`, in the years that everybody writes with four digits. */
export const moment = z.iso.datetime({ offset: true }).refine(
  (value) => {
    const year = new Date(value).getUTCFullYear()
    return year >= 1 && year <= 9999
  },
  { error: 'must lie in the years 1 to 9999' },
)
