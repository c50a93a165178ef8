import type { PossibleCredential } from '#store/possible-credentials.ts'

/** One of the values that may log in, on its way to its holder. */
export const presentPossible = ({ username, value, version, label, hostIds }: PossibleCredential) => ({
  username,
  value: value.expose(),
  version,
  label,
  hostIds,
})
