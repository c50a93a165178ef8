import type { NoticeKind, NoticeSeverity } from './notice.ts'

/** What a notice says, in words. Everything in it is a name, an id, a state or a time; no notice holds a secret or somebody's reasons. */
export interface NoticeWords {
  /** One line. */
  readonly title: string
  /** Plain text. */
  readonly body: string
}

export interface SpokenNotice {
  readonly id: string
  readonly kind: NoticeKind
  readonly severity: NoticeSeverity
  readonly subject: { readonly type: string; readonly id: string }
  readonly facts: Readonly<Record<string, string | number | boolean | null>>
  /** Names of what the facts name by id: id -> name. */
  readonly names: Readonly<Record<string, string>>
  /** ISO 8601. */
  readonly createdAt: string
}

interface Template {
  readonly title: string
  /** What it means, and what to do about it. */
  readonly lines: readonly string[]
}

const templates: Readonly<Record<NoticeKind, Template>> = {
  'break_glass.opened': {
    title: 'Break-glass: a credential was taken without approval',
    lines: [
      'Somebody took a credential in an emergency, past approvals and limits.',
      'It ends by itself, the password is rotated after it, and an administrator must review it.',
    ],
  },
  'break_glass.ended': { title: 'Break-glass has ended', lines: ['The credential is given back; its rotation is owed from now on.'] },
  'break_glass.review_due': { title: 'Break-glass waits for its review', lines: ['An administrator other than the user must sign what was found.'] },
  'break_glass.credential_refused': {
    title: 'Break-glass credential was refused several times',
    lines: ['Somebody with a valid login gave wrong break-glass credentials.', 'Ask the person; when it was not them, disable the user.'],
  },
  'break_glass.credential_changed': {
    title: 'Your break-glass credential was changed',
    lines: ['It was enrolled, replaced or revoked. When that was not you, tell an administrator now.'],
  },
  'break_glass.logged_in': {
    title: 'Somebody logged in for break-glass without the identity provider',
    lines: ['By passphrase and one-time code, for at most 15 minutes and for break-glass alone. Was the provider down?'],
  },
  'lease.ends_early': {
    title: 'A credential that you hold must be given back early',
    lines: ['An emergency use of it is over, so its password will be changed. Finish what you are at; nobody can extend it.'],
  },
  'access_request.opened': { title: 'An access request waits for you', lines: ['Approve or deny it before it times out.'] },
  'access_request.escalated': { title: 'An access request has waited too long', lines: ['Those who were asked first have not decided.'] },
  'access_request.approved': { title: 'Your access request was approved', lines: ['Check out with its id; the approval is good for one checkout.'] },
  'access_request.denied': { title: 'Your access request was denied', lines: ['Whoever denied it may have left a comment; read it there.'] },
  'access_request.expired': { title: 'An access request has timed out', lines: ['Nobody decided in time. Ask again if it is still needed.'] },
  'approval_policy.changed': {
    title: 'An approval policy was made, changed or deleted',
    lines: ['Others must agree to a checkout by it. When it was loosened, see to it that this was meant.'],
  },
  'support_access.enabled': { title: 'Support access was enabled', lines: ['Support staff may enter this account until it ends or is disabled.'] },
  'support_access.changed': { title: 'Support access was changed', lines: ['Its reason or its end is another one now.'] },
  'support_access.ended': {
    title: 'Support access has ended',
    lines: ['Support staff see nothing of this account any more. Enable it anew when it is still needed.'],
  },
  'support_access.reminder': { title: 'Support access is still enabled', lines: ['Disable it when it is no longer needed.'] },
  'support_access.emergency_disabled': {
    title: 'Support access was disabled in an emergency',
    lines: ['Nobody of the support staff can enter any more; what they held is taken back.'],
  },
  'recertification.opened': {
    title: 'A recertification waits for you',
    lines: ['Look at who has which access, and decide for each what stays and what goes, before it is due.'],
  },
  'recertification.reminder': { title: 'A recertification is due soon', lines: ['What nobody has decided about by then is kept or removed without asking.'] },
  'recertification.ended': { title: 'A recertification has ended', lines: ['Its evidence tells who decided what, and what has become of it.'] },
  'recertification.cancelled': {
    title: 'A recertification was cancelled',
    lines: ['What was removed in it stays removed; nobody is asked about the rest any more. See to it that this was meant.'],
  },
  'host.drifted': {
    title: 'A host may have another password than the vault',
    lines: ['A connector told late of a change that was given up meanwhile.', 'Rotate the identity, so that both agree again.'],
  },
  'credential.drifted': {
    title: 'A stored credential does not log in any more',
    lines: [
      'A check was refused: somebody changed the value on the host, or locked the account. It is not tried again by itself.',
      'Rotate the identity, or store the value that works.',
    ],
  },
  'rotation.stuck': { title: 'A rotation does not come to its end', lines: ['See what it waits for.'] },
  'rotation.needs_attention': {
    title: 'A rotation needs a person',
    lines: ['Nobody knows which password the host has, or there is no host that could be changed. Look there, and resolve the rotation.'],
  },
  'rotation_campaign.ended': {
    title: 'A rotation campaign is over',
    lines: ['What is not confirmed may still have a value from before it: see the items of the campaign.'],
  },
  'channel.dead': { title: 'A notification channel does not work', lines: ['Nothing got through it for a while. What it should carry is tried for 24 hours.'] },
  'channel.test': { title: 'Test of a notification channel', lines: ['Somebody asked for this message. There is nothing to do.'] },
}

const oneLine = (text: string): string => text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').slice(0, 200)
/** `expiresAt` -> `expires at`, `identityId` -> `identity`. */
const labelOf = (key: string): string =>
  key
    .replace(/Id$/, '')
    .replace(/([A-Z])/g, ' $1')
    .toLowerCase()

/** @returns words for whoever reads the notice, in a mail, a chat or a list */
export function noticeWords({ id, kind, severity, subject, facts, names, createdAt }: SpokenNotice): NoticeWords {
  const { title, lines } = templates[kind]
  const shown = (value: string | number | boolean): string => {
    const name = names[String(value)]
    return name === undefined ? oneLine(String(value)) : `${oneLine(name)} (${value})`
  }
  const named = Object.entries(facts).flatMap(([key, value]) => (value === null ? [] : [`${labelOf(key)}: ${shown(value)}`]))
  return {
    title,
    body: [
      ...lines,
      '',
      `${subject.type.replaceAll('_', ' ')}: ${shown(subject.id)}`,
      ...named,
      `time: ${createdAt}`,
      `severity: ${severity}`,
      `notice: ${id}`,
      '',
    ].join('\n'),
  }
}
