/** The shape of a row in the tables of the server's flags, and the four ways in which a flag of etcd is treated. */

type Kind = 'text' | 'boolean' | 'integer' | 'duration' | 'list';

/** What becomes of a flag that was given. */
export type Treatment =
  /** It decides something. */
  | { kind: 'used' }
  /** It is taken, decides nothing for one member, and that is logged. */
  | { kind: 'idle'; reason: string }
  /** It is refused, save for values that ask for nothing. */
  | { kind: 'refused'; reason: string; harmless: readonly string[] }
  /** The name that etcd gave it before 3.6. */
  | { kind: 'alias'; of: string }
  /** A switch from before there were feature gates. */
  | { kind: 'gate'; of: string };

/** A row that the machinery of all flags takes, with its treatment. Defaults are etcd's. */
export interface ServeFlagRow {
  kind: Kind;
  text: string;
  words?: readonly string[];
  default?: string;
  min?: number;
  group: string;
  isHidden?: boolean;
  treatment: Treatment;
}

type Extra = Partial<Pick<ServeFlagRow, 'words' | 'default' | 'min'>>;

const HIDDEN = { group: '', isHidden: true } as const;

/** A flag that decides something. */
export function used(group: string, kind: Kind, text: string, extra: Extra = {}): ServeFlagRow {
  return { kind, text, group: `${group}:`, treatment: { kind: 'used' }, ...extra };
}

/** A flag that has no effect here; `reason` says why, in the log. */
export function idle(kind: Kind, reason: string): ServeFlagRow {
  return { kind, text: reason, ...HIDDEN, treatment: { kind: 'idle', reason } };
}

/** A flag that this server cannot follow; `harmless` are values that change nothing. */
export function refused(kind: Kind, reason: string, harmless: readonly string[] = []): ServeFlagRow {
  const nothing = kind === 'boolean' ? ['false'] : kind === 'text' || kind === 'list' ? [''] : ['0', '0s'];
  return {
    kind,
    text: reason,
    ...HIDDEN,
    treatment: { kind: 'refused', reason, harmless: harmless.length > 0 ? harmless : nothing },
  };
}

/** The old name of another flag of the same kind. */
export function alias(kind: Kind, of: string): ServeFlagRow {
  return { kind, text: `Old name of --${of}`, ...HIDDEN, treatment: { kind: 'alias', of } };
}

/** The old switch of a feature gate. */
export function gate(of: string): ServeFlagRow {
  return {
    kind: 'boolean',
    text: `Old way to set ${of} in --feature-gates`,
    ...HIDDEN,
    treatment: { kind: 'gate', of },
  };
}
