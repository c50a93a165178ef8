/** Days and hours in which something is allowed, in the local time of a place. Pure; `now` is an argument. */

export const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
export type Day = (typeof days)[number]

export interface TimeWindow {
  readonly days: readonly Day[]
  /** `HH:MM`, on the same day and before `to`. */
  readonly from: string
  /** `HH:MM`, not part of it; `24:00` is the end of the day. */
  readonly to: string
  /** IANA name, e.g. `Europe/Berlin`. */
  readonly timeZone: string
}

export type Openness =
  /** Open until then; null: for the next nine days at least, which no lease outlasts. */
  | { readonly open: true; readonly until: Date | null }
  /** `opensAt` null: never again. */
  | { readonly open: false; readonly opensAt: Date | null }

const minute = 60_000
const day = 1_440 * minute
/** A week and a day: every window has opened once by then, whatever the clocks were put to. */
const horizon = 9

/** Whether one of the windows is open, until when, or when the next one opens. No window: no limit. */
export function opennessAt(windows: readonly TimeWindow[], now: Date): Openness {
  if (windows.length === 0) return { open: true, until: null }
  const spans = windows.flatMap((window) => spansOf(window, now.getTime())).sort((one, other) => one.start - other.start)
  let end = now.getTime()
  // Windows that touch or overlap are one.
  for (const span of spans) if (span.start <= end && span.end > end) end = span.end
  // What lies behind the horizon was not looked at: windows of two places may take turns for ever.
  if (end >= now.getTime() + horizon * day) return { open: true, until: null }
  if (end > now.getTime()) return { open: true, until: new Date(end) }
  const next = spans.find((span) => span.start > now.getTime())
  return { open: false, opensAt: next === undefined ? null : new Date(next.start) }
}

/** When the window is open, from yesterday on, ms since 1970. */
function spansOf({ days: on, from, to, timeZone }: TimeWindow, now: number): { readonly start: number; readonly end: number }[] {
  const offset = offsetIn(timeZone)
  const today = Math.floor((now + offset(now)) / day)
  return Array.from({ length: horizon + 2 }, (_, index) => today - 1 + index)
    .filter((date) => on.includes(dayOf(date)))
    .map((date) => ({ start: instantOf(date * day + minutesOf(from) * minute, offset), end: instantOf(date * day + minutesOf(to) * minute, offset) }))
    .filter(({ start, end }) => start < end)
}

/** 1970-01-01 was a Thursday. */
const dayOf = (date: number): Day => days[(((date + 3) % 7) + 7) % 7] as Day

const minutesOf = (time: string): number => Number(time.slice(0, 2)) * 60 + Number(time.slice(3))

/** The instant of a local time. One that the clocks leave out is the instant at which they do; of one that comes twice, the first. */
function instantOf(local: number, offset: (instant: number) => number): number {
  const candidates = [local - offset(local - day), local - offset(local + day)]
  const fitting = candidates.filter((instant) => instant + offset(instant) === local)
  return Math.min(...(fitting.length > 0 ? fitting : [Math.max(...candidates)]))
}

/** How far the clocks of a zone are ahead of UTC at an instant, ms. */
function offsetIn(timeZone: string): (instant: number) => number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })
  return (instant) => {
    const parts = Object.fromEntries(format.formatToParts(instant).map(({ type, value }) => [type, Number(value)]))
    const { year = 0, month = 1, day: date = 1, hour = 0, minute: minutes = 0, second = 0 } = parts
    return Date.UTC(year, month - 1, date, hour, minutes, second) - Math.floor(instant / 1_000) * 1_000
  }
}
