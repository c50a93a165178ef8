import { rules } from './rules.ts'

/** Actions that show a value, or let somebody have one for longer. */
const uses = new Set(['identity.reveal', 'identity.checkout', 'identity.break-glass', 'lease.read-credential', 'lease.extend', 'rotation.read-credentials'])

/** `use`: a value is had; `read`; `change`. */
export const groupOf = (action: string): string =>
  uses.has(action) ? 'use' : /\.(list|read|search|read-reason|read-evidence)$/.test(action) ? 'read' : 'change'

/**
 * The Cedar schema that policies are checked against: every action of the API, in one of three groups, on a resource that lies in
 * its vault, organization and account.
 */
export const cedarSchema = `
entity Account;
entity Organization in [Account];
entity Vault in [Organization];
entity Identity in [Vault];
entity Group;
entity User in [Group] { owner: Bool, email?: String };
type Asked = { purpose: String, now: datetime, acr?: String, loginAgeSeconds?: Long, senderConstrained: Bool, ip?: ipaddr, minutes?: Long };
action "use", "read", "change";
${Object.keys(rules)
  .map(
    (action) =>
      `action "${action}" in ["${groupOf(action)}"] appliesTo { principal: [User], resource: [Account, Organization, Vault, Identity], context: Asked };`,
  )
  .join('\n')}
`

/** What holds in an account without policies of its own: permissions and grants alone decide. */
export const baselinePolicies = `@id("baseline")
permit (principal, action, resource);
`
