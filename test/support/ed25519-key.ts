import { generateSshKey } from '#secrets/ssh-key-pair.ts'

/** A key as ssh2's own generator would answer it, which makes one in 250 that nobody can use. */
export function ed25519Key(): { readonly private: string; readonly public: string } {
  const { value, publicKey } = generateSshKey()
  return { private: value.expose(), public: publicKey }
}
