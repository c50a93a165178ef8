/** A browser without scripts: it keeps cookies, follows redirects and fills forms with what its person knows. */
export interface Browser {
  /**
   * Goes to a page and on to where it leads.
   *
   * @param knows values by name of the field, or what makes them of a page; other fields stay as the page has them
   * @param until beginning of addresses that it is sent to and does not open
   */
  visit(url: string, knows?: Knowledge, until?: string): Promise<Page>
}

export type Knowledge = Readonly<Record<string, string>> | ((html: string) => Readonly<Record<string, string>>)

export interface Page {
  readonly url: string
  readonly status: number
  readonly text: string
  /** What each form on the way asked for, of what the person knows. */
  readonly asked: readonly string[][]
}

const furthest = 15

export function openBrowser(): Browser {
  const jar = new Map<string, string>()

  async function load(url: string, init: RequestInit = {}): Promise<Response> {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(url, { ...init, redirect: 'manual', headers: { cookie } })
    for (const line of response.headers.getSetCookie()) {
      const [name = '', value = ''] = (line.split(';')[0] ?? '').split(/=(.*)/)
      if (value === '') jar.delete(name)
      else jar.set(name, value)
    }
    return response
  }

  return {
    async visit(start, knows = {}, until) {
      const asked: string[][] = []
      let url = start
      let response = await load(url)
      for (let hop = 0; hop < furthest; hop += 1) {
        const location = response.headers.get('location')
        if (location !== null) {
          await response.body?.cancel()
          url = new URL(location, url).href
          if (until !== undefined && url.startsWith(until)) return { url, status: response.status, text: '', asked }
          response = await load(url)
          continue
        }
        const text = await response.text()
        const form = formOf(text, url)
        const known = typeof knows === 'function' ? knows(text) : knows
        const wanted = Object.keys(form?.fields ?? {}).filter((name) => name in known)
        // A form that comes again did not take what it got.
        if (form === undefined || wanted.length === 0 || asked.at(-1)?.join() === wanted.join()) return { url, status: response.status, text, asked }
        asked.push(wanted)
        const filled = { ...form.fields, ...Object.fromEntries(wanted.map((name) => [name, known[name] ?? ''])) }
        url = form.action
        response = await load(url, { method: 'POST', body: new URLSearchParams(filled) })
      }
      throw new Error('the pages lead on without end')
    },
  }
}

const decode = (text: string): string => text.replaceAll('&amp;', '&').replaceAll('&quot;', '"').replaceAll('&#39;', "'")
const attribute = (tag: string, name: string): string | undefined => {
  const value = new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1]
  return value === undefined ? undefined : decode(value)
}

/** The first form of a page: where it goes, and its fields. */
function formOf(html: string, url: string): { action: string; fields: Record<string, string> } | undefined {
  const [, opening, inside] = /(<form[^>]*>)([\s\S]*?)<\/form>/.exec(html) ?? []
  if (opening === undefined || inside === undefined) return undefined
  const inputs = [...inside.matchAll(/<input[^>]*>/g)].map(([tag]) => [attribute(tag, 'name'), attribute(tag, 'value') ?? '', attribute(tag, 'type')] as const)
  const fields = inputs.filter(([name, , type]) => name !== undefined && type !== 'checkbox' && type !== 'submit').map(([name, value]) => [name, value])
  return { action: new URL(attribute(opening, 'action') ?? '', url).href, fields: Object.fromEntries(fields) }
}
