import type { StackUrls } from './urls.ts'

/** What a person sees when the stack is ready: where things are, and a first checkout to paste. */
export function invitation(urls: StackUrls, home: string): string {
  const variable = process.env['LEASEHOLD_HOME'] === undefined ? '' : `LEASEHOLD_HOME='${home}' `
  return `
Leasehold is ready.
  API          ${urls.api}/v1
  Temporal UI  ${urls.temporalUi}
  issuer       ${urls.issuer}   people: mia, ola, sam, vic, axe; gus in a second account
  target       ${urls.target}
  mail         ${urls.mail}   every notice that is mailed

A first checkout, as sam:

  TOKEN=$(${variable}npx leasehold dev token sam)
  ID=$(curl -s ${urls.api}/v1/identities -H "authorization: Bearer $TOKEN" | python3 -c 'import json,sys; print(next(i["id"] for i in json.load(sys.stdin)["items"] if i["name"] == "reports-db"))')
  curl -s ${urls.api}/v1/identities/$ID/checkout -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' \\
    -H "idempotency-key: first-$(date +%s)" -d '{"reason": "A first look", "durationMinutes": 5}'
`
}
