/** Times of support windows, in ms. Pure. */

const day = 86_400_000

/** Without an end people are reminded so often that the window is open. */
export const reminderEvery = 30 * day

/** Before its end people are reminded so long ahead. */
export const reminderBefore = day

/**
 * When people are reminded next.
 *
 * @param now when the window was opened, changed, or when they were reminded last
 * @param expiresAt null: it has no end
 * @returns null: not before its end
 */
export function nextReminder(now: Date, expiresAt: Date | null): Date | null {
  if (expiresAt === null) return new Date(now.getTime() + reminderEvery)
  const ahead = new Date(expiresAt.getTime() - reminderBefore)
  return ahead > now ? ahead : null
}
