/** How often and how long a notice is sent. Times in ms. */

const second = 1_000
const longestPause = 300 * second

/** Pause after so many failed attempts: 1 s doubled, at most 5 min. A receiver that was restarted is told within a minute. */
export const pauseAfterAttempts = (attempts: number): number => Math.min(second * 2 ** Math.max(0, attempts - 1), longestPause)

/** A message is given up when it could not be sent for so long. */
export const giveUpAfter = 24 * 3_600 * second

/** Failures in a row, over all its messages, after which people hear of a channel through the other ones. */
export const deadAfter = 6

/** A receiver has so long to answer, from the first byte to the last. */
export const sendLimit = 10 * second

/** Whoever sends holds the message for so long; then it is free again, because they have died. */
export const sendHold = 30 * second

/** Messages of one channel on their way at once, over all processes: one that hangs does not fill the room of the others. */
export const lanesPerChannel = 8

/** Pause of a message that found no lane. */
export const laneWait = 1 * second
