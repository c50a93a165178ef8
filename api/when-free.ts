import { LeaseholdError } from '#schemas/errors.ts'

/** In an emergency nobody is sent away because of a lock that somebody holds for a moment. */
export const emergencyTries = 8

/**
 * Tries again what is refused only because somebody holds a lock for a moment.
 *
 * @param tries how often in all; the last `busy` is the caller's
 * @param between what must be looked at anew before the next one
 */
export async function whenFree<T>(tries: number, act: () => Promise<T>, between: () => Promise<void> = async () => {}): Promise<T> {
  for (let left = tries; ; left -= 1) {
    try {
      return await act()
    } catch (error) {
      if (left === 1 || !(error instanceof LeaseholdError) || error.code !== 'busy') throw error
    }
    await between()
  }
}
