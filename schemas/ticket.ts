import { z } from 'zod'

/** Names a case of another system. One word, so that it is no place for what people write. */
export const Ticket = z
  .string()
  .regex(/^[\w.:/#-]{1,100}$/)
  .meta({ description: 'Names a case elsewhere: letters, digits and `._:/#-`', examples: ['INC-2041'] })
