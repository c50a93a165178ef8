import { z } from 'zod'

/** Where sshd reads keys of accounts, unless it was told another place (sshd_config(5)). */
export const defaultKeysFile = '.ssh/authorized_keys'

/** Characters that no shell reads as its own; no part leads upwards. */
const form = /^(%h\/)?([A-Za-z0-9_./@+-]|%[u%])+$/
const upwards = /(^|\/)\.{0,2}$|(^|\/)\.\.?\//

/** One file of sshd's AuthorizedKeysFile; %u: the account, %h: its home, %%: a percent sign. */
export const AuthorizedKeysFile = z
  .string()
  .max(255)
  .refine((file) => form.test(file) && !upwards.test(file), { error: 'must be one file as sshd names it: letters, digits, _./@+-, %u, %% and a leading %h/' })
  .meta({ description: `ssh: where keys of accounts are, as AuthorizedKeysFile of sshd names it; default: ${defaultKeysFile}` })
